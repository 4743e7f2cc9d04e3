complete -c pkill-tree -s s -l signal -d 'Ask with this signal; -TERM and -15 are understood as well' -r -f -a '(printf \'%s\\n\' TERM INT HUP KILL QUIT USR1 USR2 STOP CONT ALRM PIPE)'
complete -c pkill-tree -s g -l grace -d 'How long the set has to end before it is killed' -r
complete -c pkill-tree -l kill-wait -d 'How long to go on killing before what is left counts as a survivor' -r
complete -c pkill-tree -l timeout -d 'Bound everything together; exit 124 when it runs out' -r
complete -c pkill-tree -l settle -d 'After all have ended, watch this long for processes that take the place of a named one' -r
complete -c pkill-tree -l retries -d 'End processes that take the place of a named one, so often; watches 500ms unless --settle says otherwise' -r
complete -c pkill-tree -l registry -d 'The registry file [default: $PROCHERD_REGISTRY, else $XDG_STATE_HOME/procherd/registry.json]' -r -F
complete -c pkill-tree -l format -d 'How to write: for people on a terminal, NDJSON in a pipe' -r -f -a "auto\t''
ndjson\t''
table\t''
tree\t''
csv\t''
dot\t''
mermaid\t''"
complete -c pkill-tree -l color -d 'When to use colour; NO_COLOR turns it off' -r -f -a "auto\t''
always\t''
never\t''"
complete -c pkill-tree -l log -d 'Append a record of everything that was done to this file, with the time' -r -F
complete -c pkill-tree -s f -l force -d 'Kill at once: --grace 0'
complete -c pkill-tree -s n -l dry-run -d 'Print what would be ended, in order, and touch nothing'
complete -c pkill-tree -l only -d 'End only the named processes'
complete -c pkill-tree -l group -d 'Take in the whole process group of each named process'
complete -c pkill-tree -l leaves-first -d 'Ask children before their parents'
complete -c pkill-tree -l no-group -d 'Do not follow process groups'
complete -c pkill-tree -l no-session -d 'Do not follow sessions'
complete -c pkill-tree -l no-cookie -d 'Do not follow the marks of spawns (PROCHERD_ID)'
complete -c pkill-tree -l no-cgroup -d 'Do not follow cgroups that were made for services'
complete -c pkill-tree -l all-users -d 'Touch processes of other users'
complete -c pkill-tree -l require-identity -d 'Refuse bare process numbers'
complete -c pkill-tree -l strict -d 'Do nothing when a line of the input is bad'
complete -c pkill-tree -s q -l quiet -d 'Write no records and no notes: the exit code is the answer'
complete -c pkill-tree -s h -l help -d 'Print help (see more with \'--help\')'
complete -c pkill-tree -s V -l version -d 'Print version'
complete -c pkill-tree -f -a '(ptrack list --format ndjson 2>/dev/null | pfmt --format csv --columns service 2>/dev/null | tail -n +2)'
