complete -c pzombies -l twice -d 'Look again after this time, and report what is dead in both looks' -r
complete -c pzombies -l patience -d 'Let a zombie be dead for this long where its parent has reaped others before' -r
complete -c pzombies -s p -l pattern -d 'Only command lines that match this regular expression; repeatable' -r
complete -c pzombies -l patterns-from -d 'Patterns from a file, one a line, or from an installed set such as node-dev; repeatable' -r -a '(ls $XDG_CONFIG_HOME/procherd/patterns ~/.config/procherd/patterns /usr/local/share/procherd/patterns /usr/share/procherd/patterns 2>/dev/null | grep -v -e / -e \'^$\' | sort -u)'
complete -c pzombies -l exe -d 'Only processes that run this file, by path or by name; repeatable' -r
complete -c pzombies -l cwd -d 'Only processes whose working directory is this folder or below it; repeatable' -r -F
complete -c pzombies -l project -d 'Only processes of this project: like --cwd, but the folder must exist; repeatable' -r -F
complete -c pzombies -l env -d 'Only processes with this in their environment; repeatable' -r
complete -c pzombies -l service -d 'Only processes of this registered service; repeatable' -r -f -a '(ptrack list --format ndjson 2>/dev/null | pfmt --format csv --columns service 2>/dev/null | tail -n +2)'
complete -c pzombies -l session -d 'Only processes of this registered session; repeatable' -r -f -a '(ptrack session list --format ndjson 2>/dev/null | pfmt --format csv --columns session 2>/dev/null | tail -n +2)'
complete -c pzombies -s u -l user -d 'Only processes of this user [default: yourself]' -r
complete -c pzombies -l min-age -d 'Pass over processes younger than this (30s is wise in cron)' -r
complete -c pzombies -l registry -d 'The registry file [default: $PROCHERD_REGISTRY, else $XDG_STATE_HOME/procherd/registry.json]' -r -F
complete -c pzombies -l format -d 'How to write: for people on a terminal, NDJSON in a pipe' -r -f -a "auto\t''
ndjson\t''
table\t''
tree\t''
csv\t''
dot\t''
mermaid\t''"
complete -c pzombies -l color -d 'When to use colour; NO_COLOR turns it off' -r -f -a "auto\t''
always\t''
never\t''"
complete -c pzombies -l expect -d 'Exit 1 unless so many are found: a number, or a range such as 1..3' -r
complete -c pzombies -l from -d 'Read a snapshot that pstree-json has saved, in place of the live system; given twice for two looks' -r -F
complete -c pzombies -l once -d 'Look once: a zombie that its parent is about to reap is reported too'
complete -c pzombies -s a -l all -d 'List also the zombies of parents that reap, if late'
complete -c pzombies -l parents -d 'Write the guilty parents in place of their zombies: what pkill-tree can end'
complete -c pzombies -l strict -d 'Stop at the first bad line of the input'
complete -c pzombies -l all-users -d 'Processes of all users'
complete -c pzombies -s q -l quiet -d 'Write no records and no notes: the exit code is the answer'
complete -c pzombies -s h -l help -d 'Print help (see more with \'--help\')'
complete -c pzombies -s V -l version -d 'Print version'
