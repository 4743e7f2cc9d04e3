complete -c pkeep -l interval -d 'How often to check each service' -r
complete -c pkeep -l pause -d 'The pause before the first try to start a service anew; it doubles with each further one' -r
complete -c pkeep -l longest-pause -d 'The longest pause' -r
complete -c pkeep -l tries -d 'How often to try before giving up' -r
complete -c pkeep -l calm -d 'How long a service must be healthy for its tries to be forgotten' -r
complete -c pkeep -l settle -d 'How long a service that was started has to become healthy' -r
complete -c pkeep -s g -l grace -d 'How long what is ended has before it is killed' -r
complete -c pkeep -l on-fail -d 'Run this line of shell when a service is given up, with its event record on standard input' -r
complete -c pkeep -l as -d 'The name that it registers itself under' -r
complete -c pkeep -l after -d 'Start the service of the command line only when these services are healthy; repeatable' -r
complete -c pkeep -l cwd -d 'Run the command of the command line in this folder' -r -F
complete -c pkeep -l service-log -d 'Append the output of the command of the command line to this file' -r -F
complete -c pkeep -l health -d 'What phealth checks, as WORD:VALUE: port:N, file:PATH, max-age:120s, command:LINE and others; repeatable' -r
complete -c pkeep -l project -d 'What belongs to the project in this folder, which must exist' -r
complete -c pkeep -l session -d 'What belongs to this session, which must be registered' -r -f -a '(ptrack session list --format ndjson 2>/dev/null | pfmt --format csv --columns session 2>/dev/null | tail -n +2)'
complete -c pkeep -l registry -d 'The registry file [default: $PROCHERD_REGISTRY, else $XDG_STATE_HOME/procherd/registry.json]' -r -F
complete -c pkeep -l format -d 'How to write: for people on a terminal, NDJSON in a pipe' -r -f -a "auto\t''
ndjson\t''
table\t''
tree\t''
csv\t''
dot\t''
mermaid\t''"
complete -c pkeep -l color -d 'When to use colour; NO_COLOR turns it off' -r -f -a "auto\t''
always\t''
never\t''"
complete -c pkeep -l log -d 'Append a record of everything that was done to this file, with the time' -r -F
complete -c pkeep -l once -d 'Take one round and end: for cron'
complete -c pkeep -l detach -d 'Leave the services running when asked to end'
complete -c pkeep -l global -d 'What belongs to the whole machine'
complete -c pkeep -s q -l quiet -d 'Write no records and no notes: the exit code is the answer'
complete -c pkeep -s h -l help -d 'Print help (see more with \'--help\')'
complete -c pkeep -s V -l version -d 'Print version'
