complete -c psession -l id -d 'The id of the session, which children know as $PROCHERD_SESSION [default: session-PID-SECONDS]' -r
complete -c psession -l project -d 'The project that the session belongs to: a folder that exists; children know it as $PROCHERD_PROJECT' -r
complete -c psession -s g -l grace -d 'How long the session has to end before it is killed' -r
complete -c psession -l kill-wait -d 'How long to go on killing before what is left counts as a survivor' -r
complete -c psession -l export -d 'Give the id to children under this name as well, such as CLAUDE_SESSION_ID; repeatable' -r
complete -c psession -l keep -d 'Spare this program or registered service, with all below it; repeatable' -r
complete -c psession -l isolate -d 'Let the kernel hold it together: pidns, a pid namespace that dies with its first process, or cgroup' -r -f -a "pidns\t''
cgroup\t''"
complete -c psession -l events -d 'Write what happens as records to a file, or to a descriptor by its number' -r
complete -c psession -l log -d 'Append a record of everything that was done to this file, with the time' -r -F
complete -c psession -l registry -d 'The registry file [default: $PROCHERD_REGISTRY, else $XDG_STATE_HOME/procherd/registry.json]' -r -F
complete -c psession -l color -d 'When to use colour; psession itself uses none' -r -f -a "auto\t''
always\t''
never\t''"
complete -c psession -l hook -d 'Print what a script of the shell can evaluate to end, with itself, all that it has started'
complete -c psession -s q -l quiet -d 'Say failures only'
complete -c psession -s h -l help -d 'Print help (see more with \'--help\')'
complete -c psession -s V -l version -d 'Print version'
