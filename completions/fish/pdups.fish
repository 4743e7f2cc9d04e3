complete -c pdups -l by -d 'What makes two processes instances of the same [default: role where roles are named, else command]' -r -f -a "role\t'The same role, by --role or by registration'
command\t'The same command line'
script\t'The same executable, and the same script where that is an interpreter'"
complete -c pdups -l key -d 'Instances of the same have these facts in common; repeatable' -r -f -a "command\t''
script\t''
exe\t''
comm\t''
cwd\t''
user\t''
service\t''
project\t''
session\t''"
complete -c pdups -l role -d 'Processes whose command line matches play this role; repeatable' -r
complete -c pdups -l expect -d 'How many instances of a role are right, or how many findings; repeatable' -r
complete -c pdups -l expect-from -d 'Read roles (NAME~REGEX) and expectations (NAME=N) from a file, one a line; repeatable' -r
complete -c pdups -l older-than -d 'Mark instances that are at least this old, and not the newest of their group' -r
complete -c pdups -l keep -d 'Leave out as many of the newest or oldest instances as are expected: the rest is surplus' -r -f -a "newest\t'The newest'
oldest\t'The oldest'"
complete -c pdups -s p -l pattern -d 'Only command lines that match this regular expression; repeatable' -r
complete -c pdups -l patterns-from -d 'Patterns from a file, one a line, or from an installed set such as node-dev; repeatable' -r -a '(ls $XDG_CONFIG_HOME/procherd/patterns ~/.config/procherd/patterns /usr/local/share/procherd/patterns /usr/share/procherd/patterns 2>/dev/null | grep -v -e / -e \'^$\' | sort -u)'
complete -c pdups -l exe -d 'Only processes that run this file, by path or by name; repeatable' -r
complete -c pdups -l cwd -d 'Only processes whose working directory is this folder or below it; repeatable' -r -F
complete -c pdups -l project -d 'Only processes of this project: like --cwd, but the folder must exist; repeatable' -r -F
complete -c pdups -l env -d 'Only processes with this in their environment; repeatable' -r
complete -c pdups -l service -d 'Only processes of this registered service; repeatable' -r -f -a '(ptrack list --format ndjson 2>/dev/null | pfmt --format csv --columns service 2>/dev/null | tail -n +2)'
complete -c pdups -l session -d 'Only processes of this registered session; repeatable' -r -f -a '(ptrack session list --format ndjson 2>/dev/null | pfmt --format csv --columns session 2>/dev/null | tail -n +2)'
complete -c pdups -s u -l user -d 'Only processes of this user [default: yourself]' -r
complete -c pdups -l min-age -d 'Pass over processes younger than this (30s is wise in cron)' -r
complete -c pdups -l registry -d 'The registry file [default: $PROCHERD_REGISTRY, else $XDG_STATE_HOME/procherd/registry.json]' -r -F
complete -c pdups -l format -d 'How to write: for people on a terminal, NDJSON in a pipe' -r -f -a "auto\t''
ndjson\t''
table\t''
tree\t''
csv\t''
dot\t''
mermaid\t''"
complete -c pdups -l color -d 'When to use colour; NO_COLOR turns it off' -r -f -a "auto\t''
always\t''
never\t''"
complete -c pdups -l from -d 'Read a snapshot that pstree-json has saved, in place of the live system' -r -F
complete -c pdups -l each -d 'Count every process, also those that run below another one of their group'
complete -c pdups -l leftovers -d 'Write only instances that are marked as left over'
complete -c pdups -s w -l watch -d 'Go on looking, and report each group when its number becomes wrong, within a second'
complete -c pdups -l strict -d 'Stop at the first bad line of the input'
complete -c pdups -l all-users -d 'Processes of all users'
complete -c pdups -s q -l quiet -d 'Write no records and no notes: the exit code is the answer'
complete -c pdups -s h -l help -d 'Print help (see more with \'--help\')'
complete -c pdups -s V -l version -d 'Print version'
