complete -c phung -l sample -d 'The time between the two samples' -r
complete -c phung -l cpu -d 'Report what uses at least so many cores between the samples' -r
complete -c phung -l stopped -d 'Report what has been stopped for at least this long' -r
complete -c phung -l beat -d 'Report registered services that gave no sign of life for this long' -r
complete -c phung -l kind -d 'Only findings of this kind; repeatable' -r -f -a "spinning\t''
uninterruptible\t''
stopped\t''
term-pending\t''
heartbeat-overdue\t''"
complete -c phung -s p -l pattern -d 'Only command lines that match this regular expression; repeatable' -r
complete -c phung -l patterns-from -d 'Patterns from a file, one a line, or from an installed set such as node-dev; repeatable' -r -a '(ls $XDG_CONFIG_HOME/procherd/patterns ~/.config/procherd/patterns /usr/local/share/procherd/patterns /usr/share/procherd/patterns 2>/dev/null | grep -v -e / -e \'^$\' | sort -u)'
complete -c phung -l exe -d 'Only processes that run this file, by path or by name; repeatable' -r
complete -c phung -l cwd -d 'Only processes whose working directory is this folder or below it; repeatable' -r -F
complete -c phung -l project -d 'Only processes of this project: like --cwd, but the folder must exist; repeatable' -r -F
complete -c phung -l env -d 'Only processes with this in their environment; repeatable' -r
complete -c phung -l service -d 'Only processes of this registered service; repeatable' -r -f -a '(ptrack list --format ndjson 2>/dev/null | pfmt --format csv --columns service 2>/dev/null | tail -n +2)'
complete -c phung -l session -d 'Only processes of this registered session; repeatable' -r -f -a '(ptrack session list --format ndjson 2>/dev/null | pfmt --format csv --columns session 2>/dev/null | tail -n +2)'
complete -c phung -s u -l user -d 'Only processes of this user [default: yourself]' -r
complete -c phung -l min-age -d 'Pass over processes younger than this (30s is wise in cron)' -r
complete -c phung -l registry -d 'The registry file [default: $PROCHERD_REGISTRY, else $XDG_STATE_HOME/procherd/registry.json]' -r -F
complete -c phung -l format -d 'How to write: for people on a terminal, NDJSON in a pipe' -r -f -a "auto\t''
ndjson\t''
table\t''
tree\t''
csv\t''
dot\t''
mermaid\t''"
complete -c phung -l color -d 'When to use colour; NO_COLOR turns it off' -r -f -a "auto\t''
always\t''
never\t''"
complete -c phung -l expect -d 'Exit 1 unless so many are found: a number, or a range such as 1..3' -r
complete -c phung -l from -d 'Read a snapshot that pstree-json has saved, in place of the live system; given twice for two looks' -r -F
complete -c phung -l strict -d 'Stop at the first bad line of the input'
complete -c phung -l all-users -d 'Processes of all users'
complete -c phung -s q -l quiet -d 'Write no records and no notes: the exit code is the answer'
complete -c phung -s h -l help -d 'Print help (see more with \'--help\')'
complete -c phung -s V -l version -d 'Print version'
