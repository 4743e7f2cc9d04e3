complete -c phealth -l port -d 'It accepts connections on this TCP port; repeatable' -r
complete -c phealth -l socket -d 'It listens on this Unix socket' -r -F
complete -c phealth -l banner -d 'To who connects it says something with this text in it' -r
complete -c phealth -l file -d 'This health file, JSON with its number, names it' -r -F
complete -c phealth -l pid-field -d 'The field of the health file that has its number, such as server.pid' -r
complete -c phealth -l field -d 'The health file has this field with this value; repeatable' -r
complete -c phealth -l file-age -d 'The health file is not older than this' -r
complete -c phealth -l max-age -d 'Its last sign of life is not older than this' -r
complete -c phealth -l command -d 'This line of shell succeeds; it finds $SERVICE_PID and $PORT in its environment' -r
complete -c phealth -l within -d 'How long each check may take [default: 5s]' -r
complete -c phealth -l timeout -d 'How long to wait: exit 124' -r
complete -c phealth -l lock-timeout -d 'How long to wait while somebody else writes the registry' -r
complete -c phealth -l project -d 'What belongs to the project in this folder, which must exist' -r
complete -c phealth -l session -d 'What belongs to this session, which must be registered' -r -f -a '(ptrack session list --format ndjson 2>/dev/null | pfmt --format csv --columns session 2>/dev/null | tail -n +2)'
complete -c phealth -l registry -d 'The registry file [default: $PROCHERD_REGISTRY, else $XDG_STATE_HOME/procherd/registry.json]' -r -F
complete -c phealth -l format -d 'How to write: for people on a terminal, NDJSON in a pipe' -r -f -a "auto\t''
ndjson\t''
table\t''
tree\t''
csv\t''
dot\t''
mermaid\t''"
complete -c phealth -l color -d 'When to use colour; NO_COLOR turns it off' -r -f -a "auto\t''
always\t''
never\t''"
complete -c phealth -l log -d 'Append a record of everything that was done to this file, with the time' -r -F
complete -c phealth -l wait -d 'Judge again and again until all are healthy'
complete -c phealth -l beat -d 'Note in the registry what was found: a sign of life of those that are healthy, and the state of the others'
complete -c phealth -l fix -d 'Remove stale health files and pid files: those that name nobody, the dead, or somebody else'
complete -c phealth -l summary -d 'Write only the totals'
complete -c phealth -l unhealthy -d 'Write only what is not healthy'
complete -c phealth -l strict -d 'Stop at the first bad line of the input'
complete -c phealth -l global -d 'What belongs to the whole machine'
complete -c phealth -s q -l quiet -d 'Write no records and no notes: the exit code is the answer'
complete -c phealth -s h -l help -d 'Print help (see more with \'--help\')'
complete -c phealth -s V -l version -d 'Print version'
complete -c phealth -f -a '(ptrack list --format ndjson 2>/dev/null | pfmt --format csv --columns service 2>/dev/null | tail -n +2)'
