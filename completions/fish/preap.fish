complete -c preap -s g -l grace -d 'How long what is to end has before it is killed' -r
complete -c preap -l pidfiles -d 'Judge these pid files and health files, too: files, folders of *.pid, or patterns such as \'run/*.pid\'; repeatable' -r
complete -c preap -l lock-timeout -d 'How long to wait while somebody else writes the registry' -r
complete -c preap -s p -l pattern -d 'Only command lines that match this regular expression; repeatable' -r
complete -c preap -l patterns-from -d 'Patterns from a file, one a line, or from an installed set such as node-dev; repeatable' -r -a '(ls $XDG_CONFIG_HOME/procherd/patterns ~/.config/procherd/patterns /usr/local/share/procherd/patterns /usr/share/procherd/patterns 2>/dev/null | grep -v -e / -e \'^$\' | sort -u)'
complete -c preap -l exe -d 'Only processes that run this file, by path or by name; repeatable' -r
complete -c preap -l cwd -d 'Only processes whose working directory is this folder or below it; repeatable' -r -F
complete -c preap -l project -d 'Only processes of this project: like --cwd, but the folder must exist; repeatable' -r -F
complete -c preap -l env -d 'Only processes with this in their environment; repeatable' -r
complete -c preap -l service -d 'Only processes of this registered service; repeatable' -r -f -a '(ptrack list --format ndjson 2>/dev/null | pfmt --format csv --columns service 2>/dev/null | tail -n +2)'
complete -c preap -l session -d 'Only processes of this registered session; repeatable' -r -f -a '(ptrack session list --format ndjson 2>/dev/null | pfmt --format csv --columns session 2>/dev/null | tail -n +2)'
complete -c preap -s u -l user -d 'Only processes of this user [default: yourself]' -r
complete -c preap -l min-age -d 'Pass over processes younger than this (30s is wise in cron)' -r
complete -c preap -l registry -d 'The registry file [default: $PROCHERD_REGISTRY, else $XDG_STATE_HOME/procherd/registry.json]' -r -F
complete -c preap -l format -d 'How to write: for people on a terminal, NDJSON in a pipe' -r -f -a "auto\t''
ndjson\t''
table\t''
tree\t''
csv\t''
dot\t''
mermaid\t''"
complete -c preap -l color -d 'When to use colour; NO_COLOR turns it off' -r -f -a "auto\t''
always\t''
never\t''"
complete -c preap -l log -d 'Append a record of everything that was done to this file, with the time' -r -F
complete -c preap -s n -l dry-run -d 'Write what would be done, and do nothing'
complete -c preap -l keep-sessions -d 'Leave dead sessions and what belongs to them alone'
complete -c preap -l remove -d 'Remove those that are stale'
complete -c preap -l nudge -d 'Ask parents that have left a zombie unreaped for a while to reap it (SIGCHLD)'
complete -c preap -l all-users -d 'Processes of all users'
complete -c preap -s q -l quiet -d 'Write no records and no notes: the exit code is the answer'
complete -c preap -s h -l help -d 'Print help (see more with \'--help\')'
complete -c preap -s V -l version -d 'Print version'
