complete -c pwatch -s e -l event -d 'Only events of this kind; repeatable' -r
complete -c pwatch -l until -d 'End with 0 when this has happened; `gone`: when nothing that is watched lives; repeatable' -r
complete -c pwatch -l fail-on -d 'End with 1 when this has happened; repeatable' -r
complete -c pwatch -l timeout -d 'End with 124 when so much time has passed' -r
complete -c pwatch -l from -d 'Begin with what has happened since pstree-json saved this snapshot' -r -F
complete -c pwatch -l interval -d 'How often to look for what has begun, where the kernel does not tell' -r
complete -c pwatch -s p -l pattern -d 'Only command lines that match this regular expression; repeatable' -r
complete -c pwatch -l patterns-from -d 'Patterns from a file, one a line, or from an installed set such as node-dev; repeatable' -r -a '(ls $XDG_CONFIG_HOME/procherd/patterns ~/.config/procherd/patterns /usr/local/share/procherd/patterns /usr/share/procherd/patterns 2>/dev/null | grep -v -e / -e \'^$\' | sort -u)'
complete -c pwatch -l exe -d 'Only processes that run this file, by path or by name; repeatable' -r
complete -c pwatch -l cwd -d 'Only processes whose working directory is this folder or below it; repeatable' -r -F
complete -c pwatch -l project -d 'Only processes of this project: like --cwd, but the folder must exist; repeatable' -r -F
complete -c pwatch -l env -d 'Only processes with this in their environment; repeatable' -r
complete -c pwatch -l service -d 'Only processes of this registered service; repeatable' -r -f -a '(ptrack list --format ndjson 2>/dev/null | pfmt --format csv --columns service 2>/dev/null | tail -n +2)'
complete -c pwatch -l session -d 'Only processes of this registered session; repeatable' -r -f -a '(ptrack session list --format ndjson 2>/dev/null | pfmt --format csv --columns session 2>/dev/null | tail -n +2)'
complete -c pwatch -s u -l user -d 'Only processes of this user [default: yourself]' -r
complete -c pwatch -l min-age -d 'Pass over processes younger than this (30s is wise in cron)' -r
complete -c pwatch -l registry -d 'The registry file [default: $PROCHERD_REGISTRY, else $XDG_STATE_HOME/procherd/registry.json]' -r -F
complete -c pwatch -l format -d 'How to write: for people on a terminal, NDJSON in a pipe' -r -f -a "auto\t''
ndjson\t''
table\t''
tree\t''
csv\t''
dot\t''
mermaid\t''"
complete -c pwatch -l color -d 'When to use colour; NO_COLOR turns it off' -r -f -a "auto\t''
always\t''
never\t''"
complete -c pwatch -l track -d 'Keep the trees that the registry has saved of services up to date'
complete -c pwatch -l no-news -d 'Do not ask the kernel for news, but look at intervals'
complete -c pwatch -l strict -d 'Stop at the first bad line of the input'
complete -c pwatch -l all-users -d 'Processes of all users'
complete -c pwatch -s q -l quiet -d 'Write no records and no notes: the exit code is the answer'
complete -c pwatch -s h -l help -d 'Print help (see more with \'--help\')'
complete -c pwatch -s V -l version -d 'Print version'
