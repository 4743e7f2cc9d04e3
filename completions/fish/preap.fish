complete -c preap -s g -l grace -d 'How long the members of a dead session have to end before they are killed' -r
complete -c preap -l pidfiles -d 'Judge these pid files and health files, too: files, folders of *.pid, or patterns such as \'run/*.pid\'; repeatable' -r
complete -c preap -l lock-timeout -d 'How long to wait while somebody else writes the registry' -r
complete -c preap -l registry -d 'The registry file [default: $PROCHERD_REGISTRY, else $XDG_STATE_HOME/procherd/registry.json]' -r -F
complete -c preap -l format -d 'How to write: for people on a terminal, NDJSON in a pipe' -r -f -a "auto\t''
ndjson\t''
table\t''
tree\t''"
complete -c preap -l color -d 'When to use colour; NO_COLOR turns it off' -r -f -a "auto\t'When standard output is a terminal'
always\t'Always'
never\t'Never'"
complete -c preap -s n -l dry-run -d 'Write what would be done, and do nothing'
complete -c preap -l keep-sessions -d 'Leave dead sessions and what belongs to them alone'
complete -c preap -l remove -d 'Remove those that are stale'
complete -c preap -s q -l quiet -d 'Write no records and no notes: the exit code is the answer'
complete -c preap -s h -l help -d 'Print help (see more with \'--help\')'
complete -c preap -s V -l version -d 'Print version'
