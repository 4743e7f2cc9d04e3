complete -c pgone -l port -d 'Wait until nobody listens on this port or any of this range; repeatable' -r
complete -c pgone -l settle -d 'Ports have to stay as they are wanted for this long' -r
complete -c pgone -l quiet-file -d 'Wait until nobody changes this file or folder any more, makes it or removes it; repeatable' -r -F
complete -c pgone -l for -d 'How long files have to be quiet' -r
complete -c pgone -s t -l timeout -d 'Give up after this time: exit 124, and the records say what is left' -r
complete -c pgone -l registry -d 'The registry file [default: $PROCHERD_REGISTRY, else $XDG_STATE_HOME/procherd/registry.json]' -r -F
complete -c pgone -l format -d 'How to write: for people on a terminal, NDJSON in a pipe' -r -f -a "auto\t''
ndjson\t''
table\t''
tree\t''
csv\t''
dot\t''
mermaid\t''"
complete -c pgone -l color -d 'When to use colour; NO_COLOR turns it off' -r -f -a "auto\t''
always\t''
never\t''"
complete -c pgone -l ready -d 'Wait for the contrary: services run, somebody listens on the ports, files are there (and quiet)'
complete -c pgone -l strict -d 'Stop at the first bad line of the input'
complete -c pgone -s q -l quiet -d 'Write no records and no notes: the exit code is the answer'
complete -c pgone -s h -l help -d 'Print help (see more with \'--help\')'
complete -c pgone -s V -l version -d 'Print version'
complete -c pgone -f -a '(ptrack list --format ndjson 2>/dev/null | pfmt --format csv --columns service 2>/dev/null | tail -n +2)'
