complete -c pports -l first-free -d 'Write the first port of the range that nobody uses and no registered service was given' -r
complete -c pports -l locks -d 'Report who has this file open, with the locks on it; repeatable' -r -F
complete -c pports -s p -l pattern -d 'Only command lines that match this regular expression; repeatable' -r
complete -c pports -l patterns-from -d 'Patterns from a file, one a line, or from an installed set such as node-dev; repeatable' -r -a '(ls $XDG_CONFIG_HOME/procherd/patterns ~/.config/procherd/patterns /usr/local/share/procherd/patterns /usr/share/procherd/patterns 2>/dev/null | grep -v -e / -e \'^$\' | sort -u)'
complete -c pports -l exe -d 'Only processes that run this file, by path or by name; repeatable' -r
complete -c pports -l cwd -d 'Only processes whose working directory is this folder or below it; repeatable' -r -F
complete -c pports -l project -d 'Only processes of this project: like --cwd, but the folder must exist; repeatable' -r -F
complete -c pports -l env -d 'Only processes with this in their environment; repeatable' -r
complete -c pports -l service -d 'Only processes of this registered service; repeatable' -r -f -a '(ptrack list --format ndjson 2>/dev/null | pfmt --format csv --columns service 2>/dev/null | tail -n +2)'
complete -c pports -l session -d 'Only processes of this registered session; repeatable' -r -f -a '(ptrack session list --format ndjson 2>/dev/null | pfmt --format csv --columns session 2>/dev/null | tail -n +2)'
complete -c pports -l min-age -d 'Pass over processes younger than this (30s is wise in cron)' -r
complete -c pports -l expect -d 'Exit 1 unless so many are found: a number, or a range such as 1..3' -r
complete -c pports -l registry -d 'The registry file [default: $PROCHERD_REGISTRY, else $XDG_STATE_HOME/procherd/registry.json]' -r -F
complete -c pports -l format -d 'How to write: for people on a terminal, NDJSON in a pipe' -r -f -a "auto\t''
ndjson\t''
table\t''
tree\t''
csv\t''
dot\t''
mermaid\t''"
complete -c pports -l color -d 'When to use colour; NO_COLOR turns it off' -r -f -a "auto\t''
always\t''
never\t''"
complete -c pports -s u -l user -d 'Only processes of this user [default: all users]' -r
complete -c pports -l from -d 'Read what pports has saved, in place of the live system' -r -F
complete -c pports -l check -d 'Write nothing: exit 0 when somebody holds each of the operands, 1 when not'
complete -c pports -l conflicts -d 'Report registered services whose port somebody else holds, or that share a port; exit 1 when there are any'
complete -c pports -s w -l watch -d 'With --conflicts: go on looking, and report each conflict when it appears, within a second'
complete -c pports -l strict -d 'Stop at the first bad line of the input'
complete -c pports -l tcp -d 'Only TCP; with --udp or --unix, those too'
complete -c pports -l udp -d 'Only UDP; with --tcp or --unix, those too'
complete -c pports -l unix -d 'Only Unix sockets; with --tcp or --udp, those too'
complete -c pports -s 4 -l ipv4 -d 'Only what is reached by IPv4; that includes IPv6 sockets that are for both'
complete -c pports -s 6 -l ipv6 -d 'Only what is reached by IPv6'
complete -c pports -l any -d 'Also sockets that do not listen: connections, and what is left of them'
complete -c pports -l all-namespaces -d 'Also the network namespaces of other processes, such as containers'
complete -c pports -l all-users -d 'Processes of all users'
complete -c pports -s q -l quiet -d 'Write no records and no notes: the exit code is the answer'
complete -c pports -s h -l help -d 'Print help (see more with \'--help\')'
complete -c pports -s V -l version -d 'Print version'
