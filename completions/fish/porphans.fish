complete -c porphans -s p -l pattern -d 'Only command lines that match this regular expression; repeatable' -r
complete -c porphans -l patterns-from -d 'Patterns from a file, one a line, or from an installed set such as node-dev; repeatable' -r -a '(ls $XDG_CONFIG_HOME/procherd/patterns ~/.config/procherd/patterns /usr/local/share/procherd/patterns /usr/share/procherd/patterns 2>/dev/null | grep -v -e / -e \'^$\' | sort -u)'
complete -c porphans -l exe -d 'Only processes that run this file, by path or by name; repeatable' -r
complete -c porphans -l cwd -d 'Only processes whose working directory is this folder or below it; repeatable' -r -F
complete -c porphans -l project -d 'Only processes of this project: like --cwd, but the folder must exist; repeatable' -r -F
complete -c porphans -l env -d 'Only processes with this in their environment; repeatable' -r
complete -c porphans -l service -d 'Only processes of this registered service; repeatable' -r -f -a '(ptrack list --format ndjson 2>/dev/null | pfmt --format csv --columns service 2>/dev/null | tail -n +2)'
complete -c porphans -l session -d 'Only processes of this registered session; repeatable' -r -f -a '(ptrack session list --format ndjson 2>/dev/null | pfmt --format csv --columns session 2>/dev/null | tail -n +2)'
complete -c porphans -s u -l user -d 'Only processes of this user [default: yourself]' -r
complete -c porphans -l min-age -d 'Pass over processes younger than this (30s is wise in cron)' -r
complete -c porphans -l registry -d 'The registry file [default: $PROCHERD_REGISTRY, else $XDG_STATE_HOME/procherd/registry.json]' -r -F
complete -c porphans -l format -d 'How to write: for people on a terminal, NDJSON in a pipe' -r -f -a "auto\t''
ndjson\t''
table\t''
tree\t''
csv\t''
dot\t''
mermaid\t''"
complete -c porphans -l color -d 'When to use colour; NO_COLOR turns it off' -r -f -a "auto\t''
always\t''
never\t''"
complete -c porphans -l expect -d 'Exit 1 unless so many are found: a number, or a range such as 1..3' -r
complete -c porphans -l from -d 'Read a snapshot that pstree-json has saved, in place of the live system' -r -F
complete -c porphans -l untracked -d 'Report also processes that no registry knows; needs a pattern'
complete -c porphans -s a -l all -d 'List every member of an orphaned tree, not only its root'
complete -c porphans -l strict -d 'Stop at the first bad line of the input'
complete -c porphans -l all-users -d 'Processes of all users'
complete -c porphans -s q -l quiet -d 'Write no records and no notes: the exit code is the answer'
complete -c porphans -s h -l help -d 'Print help (see more with \'--help\')'
complete -c porphans -s V -l version -d 'Print version'
