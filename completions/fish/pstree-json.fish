complete -c pstree-json -l depth -d 'Go at most this many levels down (or up)' -r
complete -c pstree-json -l with -d 'Add facts that cost extra reads: exe, cwd' -r -f -a "exe\t''
cwd\t''"
complete -c pstree-json -l from -d 'Read a snapshot that pstree-json has saved, in place of the live system' -r -F
complete -c pstree-json -l registry -d 'The registry file [default: $PROCHERD_REGISTRY, else $XDG_STATE_HOME/procherd/registry.json]' -r -F
complete -c pstree-json -l format -d 'How to write: for people on a terminal, NDJSON in a pipe' -r -f -a "auto\t''
ndjson\t''
table\t''
tree\t''
csv\t''
dot\t''
mermaid\t''"
complete -c pstree-json -l color -d 'When to use colour; NO_COLOR turns it off' -r -f -a "auto\t''
always\t''
never\t''"
complete -c pstree-json -s d -l descendants -d 'Show the trees below the operands (this is the default)'
complete -c pstree-json -s a -l ancestors -d 'Show the ancestors of the operands, not what is below them'
complete -c pstree-json -l strict -d 'Stop at the first bad line of the input'
complete -c pstree-json -s q -l quiet -d 'Write no records and no notes: the exit code is the answer'
complete -c pstree-json -s h -l help -d 'Print help (see more with \'--help\')'
complete -c pstree-json -s V -l version -d 'Print version'
complete -c pstree-json -f -a '(ptrack list --format ndjson 2>/dev/null | pfmt --format csv --columns service 2>/dev/null | tail -n +2)'
