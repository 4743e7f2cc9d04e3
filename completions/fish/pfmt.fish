complete -c pfmt -l columns -d 'Show these fields, in this order' -r
complete -c pfmt -l width -d 'Fit into so many columns [default: those of the terminal; without one nothing is cut]' -r
complete -c pfmt -l format -d 'How to write: for people on a terminal, NDJSON in a pipe' -r -f -a "auto\t''
ndjson\t''
table\t''
tree\t''
csv\t''
dot\t''
mermaid\t''"
complete -c pfmt -l color -d 'When to use colour; NO_COLOR turns it off' -r -f -a "auto\t''
always\t''
never\t''"
complete -c pfmt -l totals -d 'Add a last record: how many processes these are, their memory, and what the machine has'
complete -c pfmt -l strict -d 'Stop at the first bad line'
complete -c pfmt -s q -l quiet -d 'Write no records and no notes: the exit code is the answer'
complete -c pfmt -s h -l help -d 'Print help (see more with \'--help\')'
complete -c pfmt -s V -l version -d 'Print version'
