complete -c pspawn -l grace -d 'How long what is replaced has to end before it is killed' -r
complete -c pspawn -l timeout -d 'Wait for its end, and end it with all that it has started when it takes longer: exit 124' -r
complete -c pspawn -l ttl -d 'End it with all that it has started after this time, and forget it when it has ended' -r
complete -c pspawn -l ready -d 'Wait until it is ready: port:N, file:PATH, command:LINE or log:REGEX; repeatable, all must hold' -r
complete -c pspawn -l ready-timeout -d 'How long it has to get ready before it is ended: exit 124' -r
complete -c pspawn -l port -d 'The port that it is to listen on; it finds it in its environment as PORT' -r
complete -c pspawn -l port-if-taken -d 'What to do when somebody listens there: fail, take the next free one, or end who does' -r -f -a "fail\t''
next\t''
clear\t''"
complete -c pspawn -l cwd -d 'Run in this folder' -r -F
complete -c pspawn -l env -d 'Set a variable of its environment; repeatable' -r
complete -c pspawn -l env-file -d 'Set the variables of a file with NAME=VALUE lines; repeatable, and --env wins' -r -F
complete -c pspawn -l require-file -d 'Start only if this file exists; repeatable' -r -F
complete -c pspawn -l log -d 'Append its output to this file; without it, nobody hears what it says' -r -F
complete -c pspawn -l log-size -d 'Set the log aside when it has this size, also while the service runs: 500k, 10M, 1G' -r
complete -c pspawn -l log-keep -d 'How many logs that were set aside are kept' -r
complete -c pspawn -l cgroup -d 'Start it in a cgroup of its own, where that is permitted: what it starts can then never get away' -r -f -a "auto\t''
off\t''
on\t''"
complete -c pspawn -l pidfile -d 'Write its number to this file before it runs' -r -F
complete -c pspawn -l health -d 'What phealth checks, as WORD:VALUE: port:N, file:PATH, max-age:120s, command:LINE and others; repeatable' -r
complete -c pspawn -l project -d 'What belongs to the project in this folder, which must exist' -r
complete -c pspawn -l session -d 'What belongs to this session, which must be registered' -r -f -a '(ptrack session list --format ndjson 2>/dev/null | pfmt --format csv --columns session 2>/dev/null | tail -n +2)'
complete -c pspawn -l registry -d 'The registry file [default: $PROCHERD_REGISTRY, else $XDG_STATE_HOME/procherd/registry.json]' -r -F
complete -c pspawn -l format -d 'How to write: for people on a terminal, NDJSON in a pipe' -r -f -a "auto\t''
ndjson\t''
table\t''
tree\t''
csv\t''
dot\t''
mermaid\t''"
complete -c pspawn -l color -d 'When to use colour; NO_COLOR turns it off' -r -f -a "auto\t''
always\t''
never\t''"
complete -c pspawn -l singleton -d 'Refuse to start when it runs already: this is so without being asked for'
complete -c pspawn -l ensure -d 'Be content when it runs already'
complete -c pspawn -l replace -d 'End what runs under this name first, whatever its command line'
complete -c pspawn -l foreground -d 'Become the command: same process, same streams, same session'
complete -c pspawn -s n -l dry-run -d 'Do all that comes before, print what would be registered, and start nothing'
complete -c pspawn -l global -d 'What belongs to the whole machine'
complete -c pspawn -s q -l quiet -d 'Write no records and no notes: the exit code is the answer'
complete -c pspawn -s h -l help -d 'Print help (see more with \'--help\')'
complete -c pspawn -s V -l version -d 'Print version'
