complete -c pdoctor -l registry -d 'The registry file [default: $PROCHERD_REGISTRY, else $XDG_STATE_HOME/procherd/registry.json]' -r -F
complete -c pdoctor -l format -d 'How to write: for people on a terminal, NDJSON in a pipe' -r -f -a "auto\t''
ndjson\t''
table\t''
tree\t''
csv\t''
dot\t''
mermaid\t''"
complete -c pdoctor -l color -d 'When to use colour; NO_COLOR turns it off' -r -f -a "auto\t''
always\t''
never\t''"
complete -c pdoctor -s a -l all -d 'Write also what is in order'
complete -c pdoctor -s q -l quiet -d 'Write no records and no notes: the exit code is the answer'
complete -c pdoctor -s h -l help -d 'Print help (see more with \'--help\')'
complete -c pdoctor -s V -l version -d 'Print version'
