# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_ptrack_global_optspecs
    string join \n repair lock-timeout= registry= format= color= q/quiet h/help V/version
end

function __fish_ptrack_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_ptrack_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_ptrack_using_subcommand
    set -l cmd (__fish_ptrack_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c ptrack -n "__fish_ptrack_needs_command" -l lock-timeout -d 'How long to wait while somebody else writes the registry' -r
complete -c ptrack -n "__fish_ptrack_needs_command" -l registry -d 'The registry file [default: $PROCHERD_REGISTRY, else $XDG_STATE_HOME/procherd/registry.json]' -r -F
complete -c ptrack -n "__fish_ptrack_needs_command" -l format -d 'How to write: for people on a terminal, NDJSON in a pipe' -r -f -a "auto\t''
ndjson\t''
table\t''
tree\t''
csv\t''
dot\t''
mermaid\t''"
complete -c ptrack -n "__fish_ptrack_needs_command" -l color -d 'When to use colour; NO_COLOR turns it off' -r -f -a "auto\t''
always\t''
never\t''"
complete -c ptrack -n "__fish_ptrack_needs_command" -l repair -d 'Set a damaged registry aside under a dated name first, and begin a new one'
complete -c ptrack -n "__fish_ptrack_needs_command" -s q -l quiet -d 'Write no records and no notes: the exit code is the answer'
complete -c ptrack -n "__fish_ptrack_needs_command" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c ptrack -n "__fish_ptrack_needs_command" -s V -l version -d 'Print version'
complete -c ptrack -n "__fish_ptrack_needs_command" -f -a "save" -d 'Register a running process under a name'
complete -c ptrack -n "__fish_ptrack_needs_command" -f -a "get" -d 'Show one service, by name or by process'
complete -c ptrack -n "__fish_ptrack_needs_command" -f -a "list" -d 'List services'
complete -c ptrack -n "__fish_ptrack_needs_command" -f -a "status" -d 'Tell whether a service runs: exit 0 for yes, 1 for no; without a name, all of them and a summary'
complete -c ptrack -n "__fish_ptrack_needs_command" -f -a "beat" -d 'Note that services are well'
complete -c ptrack -n "__fish_ptrack_needs_command" -f -a "rm" -d 'Forget services; their processes go on'
complete -c ptrack -n "__fish_ptrack_needs_command" -f -a "clear" -d 'Forget all services of a scope, or everything'
complete -c ptrack -n "__fish_ptrack_needs_command" -f -a "session" -d 'Register, end and list sessions'
complete -c ptrack -n "__fish_ptrack_needs_command" -f -a "import" -d 'Register what another program keeps'
complete -c ptrack -n "__fish_ptrack_needs_command" -f -a "export" -d 'Write the registry in the form of another program'
complete -c ptrack -n "__fish_ptrack_needs_command" -f -a "rebuild" -d 'Make entries again for living processes that carry the marks of a spawn or a session'
complete -c ptrack -n "__fish_ptrack_needs_command" -f -a "path" -d 'Say where the registry is'
complete -c ptrack -n "__fish_ptrack_needs_command" -f -a "init" -d 'Make the registry, and keep it out of git'
complete -c ptrack -n "__fish_ptrack_needs_command" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c ptrack -n "__fish_ptrack_using_subcommand save" -l script -d 'The script or program that was started, in your words [default: its command line]' -r
complete -c ptrack -n "__fish_ptrack_using_subcommand save" -l type -d 'The kind of scope; --project or --session say which one, and one beside it is noted' -r -f -a "global\t'One for the machine'
per-project\t'One for each project'
per-session\t'One for each session'"
complete -c ptrack -n "__fish_ptrack_using_subcommand save" -l meta -d 'A note to keep with the service; repeatable' -r
complete -c ptrack -n "__fish_ptrack_using_subcommand save" -l health -d 'What phealth checks, as WORD:VALUE: port:N, file:PATH, max-age:120s, command:LINE and others; repeatable' -r
complete -c ptrack -n "__fish_ptrack_using_subcommand save" -l project -d 'What belongs to the project in this folder, which must exist' -r
complete -c ptrack -n "__fish_ptrack_using_subcommand save" -l session -d 'What belongs to this session, which must be registered' -r -f -a '(ptrack session list --format ndjson 2>/dev/null | pfmt --format csv --columns session 2>/dev/null | tail -n +2)'
complete -c ptrack -n "__fish_ptrack_using_subcommand save" -l lock-timeout -d 'How long to wait while somebody else writes the registry' -r
complete -c ptrack -n "__fish_ptrack_using_subcommand save" -l registry -d 'The registry file [default: $PROCHERD_REGISTRY, else $XDG_STATE_HOME/procherd/registry.json]' -r -F
complete -c ptrack -n "__fish_ptrack_using_subcommand save" -l format -d 'How to write: for people on a terminal, NDJSON in a pipe' -r -f -a "auto\t''
ndjson\t''
table\t''
tree\t''
csv\t''
dot\t''
mermaid\t''"
complete -c ptrack -n "__fish_ptrack_using_subcommand save" -l color -d 'When to use colour; NO_COLOR turns it off' -r -f -a "auto\t''
always\t''
never\t''"
complete -c ptrack -n "__fish_ptrack_using_subcommand save" -l group -d 'Note the members of its process group, too, not only the processes below it'
complete -c ptrack -n "__fish_ptrack_using_subcommand save" -l replace -d 'Take the name from a service that still runs; that one goes on, unregistered'
complete -c ptrack -n "__fish_ptrack_using_subcommand save" -l strict -d 'Stop at the first bad line of the input'
complete -c ptrack -n "__fish_ptrack_using_subcommand save" -l global -d 'What belongs to the whole machine'
complete -c ptrack -n "__fish_ptrack_using_subcommand save" -l repair -d 'Set a damaged registry aside under a dated name first, and begin a new one'
complete -c ptrack -n "__fish_ptrack_using_subcommand save" -s q -l quiet -d 'Write no records and no notes: the exit code is the answer'
complete -c ptrack -n "__fish_ptrack_using_subcommand save" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c ptrack -n "__fish_ptrack_using_subcommand get" -l pid -d 'Say which service this process is: its name, or "unknown"' -r
complete -c ptrack -n "__fish_ptrack_using_subcommand get" -l project -d 'What belongs to the project in this folder, which must exist' -r
complete -c ptrack -n "__fish_ptrack_using_subcommand get" -l session -d 'What belongs to this session, which must be registered' -r -f -a '(ptrack session list --format ndjson 2>/dev/null | pfmt --format csv --columns session 2>/dev/null | tail -n +2)'
complete -c ptrack -n "__fish_ptrack_using_subcommand get" -l lock-timeout -d 'How long to wait while somebody else writes the registry' -r
complete -c ptrack -n "__fish_ptrack_using_subcommand get" -l registry -d 'The registry file [default: $PROCHERD_REGISTRY, else $XDG_STATE_HOME/procherd/registry.json]' -r -F
complete -c ptrack -n "__fish_ptrack_using_subcommand get" -l format -d 'How to write: for people on a terminal, NDJSON in a pipe' -r -f -a "auto\t''
ndjson\t''
table\t''
tree\t''
csv\t''
dot\t''
mermaid\t''"
complete -c ptrack -n "__fish_ptrack_using_subcommand get" -l color -d 'When to use colour; NO_COLOR turns it off' -r -f -a "auto\t''
always\t''
never\t''"
complete -c ptrack -n "__fish_ptrack_using_subcommand get" -l global -d 'What belongs to the whole machine'
complete -c ptrack -n "__fish_ptrack_using_subcommand get" -l repair -d 'Set a damaged registry aside under a dated name first, and begin a new one'
complete -c ptrack -n "__fish_ptrack_using_subcommand get" -s q -l quiet -d 'Write no records and no notes: the exit code is the answer'
complete -c ptrack -n "__fish_ptrack_using_subcommand get" -s h -l help -d 'Print help'
complete -c ptrack -n "__fish_ptrack_using_subcommand list" -l project -d 'What belongs to the project in this folder, which must exist' -r
complete -c ptrack -n "__fish_ptrack_using_subcommand list" -l session -d 'What belongs to this session, which must be registered' -r -f -a '(ptrack session list --format ndjson 2>/dev/null | pfmt --format csv --columns session 2>/dev/null | tail -n +2)'
complete -c ptrack -n "__fish_ptrack_using_subcommand list" -l expect -d 'Exit 1 unless so many are found: a number, or a range such as 1..3' -r
complete -c ptrack -n "__fish_ptrack_using_subcommand list" -l lock-timeout -d 'How long to wait while somebody else writes the registry' -r
complete -c ptrack -n "__fish_ptrack_using_subcommand list" -l registry -d 'The registry file [default: $PROCHERD_REGISTRY, else $XDG_STATE_HOME/procherd/registry.json]' -r -F
complete -c ptrack -n "__fish_ptrack_using_subcommand list" -l format -d 'How to write: for people on a terminal, NDJSON in a pipe' -r -f -a "auto\t''
ndjson\t''
table\t''
tree\t''
csv\t''
dot\t''
mermaid\t''"
complete -c ptrack -n "__fish_ptrack_using_subcommand list" -l color -d 'When to use colour; NO_COLOR turns it off' -r -f -a "auto\t''
always\t''
never\t''"
complete -c ptrack -n "__fish_ptrack_using_subcommand list" -l alive -d 'Only those that live'
complete -c ptrack -n "__fish_ptrack_using_subcommand list" -l dead -d 'Only those that have ended'
complete -c ptrack -n "__fish_ptrack_using_subcommand list" -l foreign -d 'Only those of other machines and pid namespaces'
complete -c ptrack -n "__fish_ptrack_using_subcommand list" -l unknown -d 'Only those that cannot be judged'
complete -c ptrack -n "__fish_ptrack_using_subcommand list" -l count -d 'Write only how many there are'
complete -c ptrack -n "__fish_ptrack_using_subcommand list" -l global -d 'What belongs to the whole machine'
complete -c ptrack -n "__fish_ptrack_using_subcommand list" -l repair -d 'Set a damaged registry aside under a dated name first, and begin a new one'
complete -c ptrack -n "__fish_ptrack_using_subcommand list" -s q -l quiet -d 'Write no records and no notes: the exit code is the answer'
complete -c ptrack -n "__fish_ptrack_using_subcommand list" -s h -l help -d 'Print help'
complete -c ptrack -n "__fish_ptrack_using_subcommand status" -l project -d 'What belongs to the project in this folder, which must exist' -r
complete -c ptrack -n "__fish_ptrack_using_subcommand status" -l session -d 'What belongs to this session, which must be registered' -r -f -a '(ptrack session list --format ndjson 2>/dev/null | pfmt --format csv --columns session 2>/dev/null | tail -n +2)'
complete -c ptrack -n "__fish_ptrack_using_subcommand status" -l lock-timeout -d 'How long to wait while somebody else writes the registry' -r
complete -c ptrack -n "__fish_ptrack_using_subcommand status" -l registry -d 'The registry file [default: $PROCHERD_REGISTRY, else $XDG_STATE_HOME/procherd/registry.json]' -r -F
complete -c ptrack -n "__fish_ptrack_using_subcommand status" -l format -d 'How to write: for people on a terminal, NDJSON in a pipe' -r -f -a "auto\t''
ndjson\t''
table\t''
tree\t''
csv\t''
dot\t''
mermaid\t''"
complete -c ptrack -n "__fish_ptrack_using_subcommand status" -l color -d 'When to use colour; NO_COLOR turns it off' -r -f -a "auto\t''
always\t''
never\t''"
complete -c ptrack -n "__fish_ptrack_using_subcommand status" -l summary -d 'Write only the totals'
complete -c ptrack -n "__fish_ptrack_using_subcommand status" -l global -d 'What belongs to the whole machine'
complete -c ptrack -n "__fish_ptrack_using_subcommand status" -l repair -d 'Set a damaged registry aside under a dated name first, and begin a new one'
complete -c ptrack -n "__fish_ptrack_using_subcommand status" -s q -l quiet -d 'Write no records and no notes: the exit code is the answer'
complete -c ptrack -n "__fish_ptrack_using_subcommand status" -s h -l help -d 'Print help'
complete -c ptrack -n "__fish_ptrack_using_subcommand beat" -l status -d 'The state to note, too' -r -f -a "running\t''
unhealthy\t''
failed\t''"
complete -c ptrack -n "__fish_ptrack_using_subcommand beat" -l project -d 'What belongs to the project in this folder, which must exist' -r
complete -c ptrack -n "__fish_ptrack_using_subcommand beat" -l session -d 'What belongs to this session, which must be registered' -r -f -a '(ptrack session list --format ndjson 2>/dev/null | pfmt --format csv --columns session 2>/dev/null | tail -n +2)'
complete -c ptrack -n "__fish_ptrack_using_subcommand beat" -l lock-timeout -d 'How long to wait while somebody else writes the registry' -r
complete -c ptrack -n "__fish_ptrack_using_subcommand beat" -l registry -d 'The registry file [default: $PROCHERD_REGISTRY, else $XDG_STATE_HOME/procherd/registry.json]' -r -F
complete -c ptrack -n "__fish_ptrack_using_subcommand beat" -l format -d 'How to write: for people on a terminal, NDJSON in a pipe' -r -f -a "auto\t''
ndjson\t''
table\t''
tree\t''
csv\t''
dot\t''
mermaid\t''"
complete -c ptrack -n "__fish_ptrack_using_subcommand beat" -l color -d 'When to use colour; NO_COLOR turns it off' -r -f -a "auto\t''
always\t''
never\t''"
complete -c ptrack -n "__fish_ptrack_using_subcommand beat" -l strict -d 'Stop at the first bad line of the input'
complete -c ptrack -n "__fish_ptrack_using_subcommand beat" -l global -d 'What belongs to the whole machine'
complete -c ptrack -n "__fish_ptrack_using_subcommand beat" -l repair -d 'Set a damaged registry aside under a dated name first, and begin a new one'
complete -c ptrack -n "__fish_ptrack_using_subcommand beat" -s q -l quiet -d 'Write no records and no notes: the exit code is the answer'
complete -c ptrack -n "__fish_ptrack_using_subcommand beat" -s h -l help -d 'Print help'
complete -c ptrack -n "__fish_ptrack_using_subcommand rm" -l project -d 'What belongs to the project in this folder, which must exist' -r
complete -c ptrack -n "__fish_ptrack_using_subcommand rm" -l session -d 'What belongs to this session, which must be registered' -r -f -a '(ptrack session list --format ndjson 2>/dev/null | pfmt --format csv --columns session 2>/dev/null | tail -n +2)'
complete -c ptrack -n "__fish_ptrack_using_subcommand rm" -l lock-timeout -d 'How long to wait while somebody else writes the registry' -r
complete -c ptrack -n "__fish_ptrack_using_subcommand rm" -l registry -d 'The registry file [default: $PROCHERD_REGISTRY, else $XDG_STATE_HOME/procherd/registry.json]' -r -F
complete -c ptrack -n "__fish_ptrack_using_subcommand rm" -l format -d 'How to write: for people on a terminal, NDJSON in a pipe' -r -f -a "auto\t''
ndjson\t''
table\t''
tree\t''
csv\t''
dot\t''
mermaid\t''"
complete -c ptrack -n "__fish_ptrack_using_subcommand rm" -l color -d 'When to use colour; NO_COLOR turns it off' -r -f -a "auto\t''
always\t''
never\t''"
complete -c ptrack -n "__fish_ptrack_using_subcommand rm" -l strict -d 'Stop at the first bad line of the input'
complete -c ptrack -n "__fish_ptrack_using_subcommand rm" -l global -d 'What belongs to the whole machine'
complete -c ptrack -n "__fish_ptrack_using_subcommand rm" -l repair -d 'Set a damaged registry aside under a dated name first, and begin a new one'
complete -c ptrack -n "__fish_ptrack_using_subcommand rm" -s q -l quiet -d 'Write no records and no notes: the exit code is the answer'
complete -c ptrack -n "__fish_ptrack_using_subcommand rm" -s h -l help -d 'Print help'
complete -c ptrack -n "__fish_ptrack_using_subcommand clear" -l project -d 'What belongs to the project in this folder, which must exist' -r
complete -c ptrack -n "__fish_ptrack_using_subcommand clear" -l session -d 'What belongs to this session, which must be registered' -r -f -a '(ptrack session list --format ndjson 2>/dev/null | pfmt --format csv --columns session 2>/dev/null | tail -n +2)'
complete -c ptrack -n "__fish_ptrack_using_subcommand clear" -l lock-timeout -d 'How long to wait while somebody else writes the registry' -r
complete -c ptrack -n "__fish_ptrack_using_subcommand clear" -l registry -d 'The registry file [default: $PROCHERD_REGISTRY, else $XDG_STATE_HOME/procherd/registry.json]' -r -F
complete -c ptrack -n "__fish_ptrack_using_subcommand clear" -l format -d 'How to write: for people on a terminal, NDJSON in a pipe' -r -f -a "auto\t''
ndjson\t''
table\t''
tree\t''
csv\t''
dot\t''
mermaid\t''"
complete -c ptrack -n "__fish_ptrack_using_subcommand clear" -l color -d 'When to use colour; NO_COLOR turns it off' -r -f -a "auto\t''
always\t''
never\t''"
complete -c ptrack -n "__fish_ptrack_using_subcommand clear" -l global -d 'What belongs to the whole machine'
complete -c ptrack -n "__fish_ptrack_using_subcommand clear" -l repair -d 'Set a damaged registry aside under a dated name first, and begin a new one'
complete -c ptrack -n "__fish_ptrack_using_subcommand clear" -s q -l quiet -d 'Write no records and no notes: the exit code is the answer'
complete -c ptrack -n "__fish_ptrack_using_subcommand clear" -s h -l help -d 'Print help'
complete -c ptrack -n "__fish_ptrack_using_subcommand session; and not __fish_seen_subcommand_from start end list help" -l lock-timeout -d 'How long to wait while somebody else writes the registry' -r
complete -c ptrack -n "__fish_ptrack_using_subcommand session; and not __fish_seen_subcommand_from start end list help" -l registry -d 'The registry file [default: $PROCHERD_REGISTRY, else $XDG_STATE_HOME/procherd/registry.json]' -r -F
complete -c ptrack -n "__fish_ptrack_using_subcommand session; and not __fish_seen_subcommand_from start end list help" -l format -d 'How to write: for people on a terminal, NDJSON in a pipe' -r -f -a "auto\t''
ndjson\t''
table\t''
tree\t''
csv\t''
dot\t''
mermaid\t''"
complete -c ptrack -n "__fish_ptrack_using_subcommand session; and not __fish_seen_subcommand_from start end list help" -l color -d 'When to use colour; NO_COLOR turns it off' -r -f -a "auto\t''
always\t''
never\t''"
complete -c ptrack -n "__fish_ptrack_using_subcommand session; and not __fish_seen_subcommand_from start end list help" -l repair -d 'Set a damaged registry aside under a dated name first, and begin a new one'
complete -c ptrack -n "__fish_ptrack_using_subcommand session; and not __fish_seen_subcommand_from start end list help" -s q -l quiet -d 'Write no records and no notes: the exit code is the answer'
complete -c ptrack -n "__fish_ptrack_using_subcommand session; and not __fish_seen_subcommand_from start end list help" -s h -l help -d 'Print help'
complete -c ptrack -n "__fish_ptrack_using_subcommand session; and not __fish_seen_subcommand_from start end list help" -f -a "start" -d 'Register a session and the process that owns it'
complete -c ptrack -n "__fish_ptrack_using_subcommand session; and not __fish_seen_subcommand_from start end list help" -f -a "end" -d 'End the members of a session and forget it'
complete -c ptrack -n "__fish_ptrack_using_subcommand session; and not __fish_seen_subcommand_from start end list help" -f -a "list" -d 'List sessions'
complete -c ptrack -n "__fish_ptrack_using_subcommand session; and not __fish_seen_subcommand_from start end list help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c ptrack -n "__fish_ptrack_using_subcommand session; and __fish_seen_subcommand_from start" -l pid -d 'The process that owns it: when that has ended, so has the session' -r
complete -c ptrack -n "__fish_ptrack_using_subcommand session; and __fish_seen_subcommand_from start" -l project -d 'The folder of its project, which must exist' -r
complete -c ptrack -n "__fish_ptrack_using_subcommand session; and __fish_seen_subcommand_from start" -l lock-timeout -d 'How long to wait while somebody else writes the registry' -r
complete -c ptrack -n "__fish_ptrack_using_subcommand session; and __fish_seen_subcommand_from start" -l registry -d 'The registry file [default: $PROCHERD_REGISTRY, else $XDG_STATE_HOME/procherd/registry.json]' -r -F
complete -c ptrack -n "__fish_ptrack_using_subcommand session; and __fish_seen_subcommand_from start" -l format -d 'How to write: for people on a terminal, NDJSON in a pipe' -r -f -a "auto\t''
ndjson\t''
table\t''
tree\t''
csv\t''
dot\t''
mermaid\t''"
complete -c ptrack -n "__fish_ptrack_using_subcommand session; and __fish_seen_subcommand_from start" -l color -d 'When to use colour; NO_COLOR turns it off' -r -f -a "auto\t''
always\t''
never\t''"
complete -c ptrack -n "__fish_ptrack_using_subcommand session; and __fish_seen_subcommand_from start" -l mark -d 'Write only what its members are to carry as $PROCHERD_SESSION_OWNER'
complete -c ptrack -n "__fish_ptrack_using_subcommand session; and __fish_seen_subcommand_from start" -l repair -d 'Set a damaged registry aside under a dated name first, and begin a new one'
complete -c ptrack -n "__fish_ptrack_using_subcommand session; and __fish_seen_subcommand_from start" -s q -l quiet -d 'Write no records and no notes: the exit code is the answer'
complete -c ptrack -n "__fish_ptrack_using_subcommand session; and __fish_seen_subcommand_from start" -s h -l help -d 'Print help'
complete -c ptrack -n "__fish_ptrack_using_subcommand session; and __fish_seen_subcommand_from end" -s g -l grace -d 'How long its members have to end before they are killed' -r
complete -c ptrack -n "__fish_ptrack_using_subcommand session; and __fish_seen_subcommand_from end" -l log -d 'Append a record of everything that was done to this file, with the time' -r -F
complete -c ptrack -n "__fish_ptrack_using_subcommand session; and __fish_seen_subcommand_from end" -l lock-timeout -d 'How long to wait while somebody else writes the registry' -r
complete -c ptrack -n "__fish_ptrack_using_subcommand session; and __fish_seen_subcommand_from end" -l registry -d 'The registry file [default: $PROCHERD_REGISTRY, else $XDG_STATE_HOME/procherd/registry.json]' -r -F
complete -c ptrack -n "__fish_ptrack_using_subcommand session; and __fish_seen_subcommand_from end" -l format -d 'How to write: for people on a terminal, NDJSON in a pipe' -r -f -a "auto\t''
ndjson\t''
table\t''
tree\t''
csv\t''
dot\t''
mermaid\t''"
complete -c ptrack -n "__fish_ptrack_using_subcommand session; and __fish_seen_subcommand_from end" -l color -d 'When to use colour; NO_COLOR turns it off' -r -f -a "auto\t''
always\t''
never\t''"
complete -c ptrack -n "__fish_ptrack_using_subcommand session; and __fish_seen_subcommand_from end" -l outcomes -d 'Write an outcome record for each process, too'
complete -c ptrack -n "__fish_ptrack_using_subcommand session; and __fish_seen_subcommand_from end" -s n -l dry-run -d 'Write what would be ended, and do nothing'
complete -c ptrack -n "__fish_ptrack_using_subcommand session; and __fish_seen_subcommand_from end" -l repair -d 'Set a damaged registry aside under a dated name first, and begin a new one'
complete -c ptrack -n "__fish_ptrack_using_subcommand session; and __fish_seen_subcommand_from end" -s q -l quiet -d 'Write no records and no notes: the exit code is the answer'
complete -c ptrack -n "__fish_ptrack_using_subcommand session; and __fish_seen_subcommand_from end" -s h -l help -d 'Print help'
complete -c ptrack -n "__fish_ptrack_using_subcommand session; and __fish_seen_subcommand_from list" -l lock-timeout -d 'How long to wait while somebody else writes the registry' -r
complete -c ptrack -n "__fish_ptrack_using_subcommand session; and __fish_seen_subcommand_from list" -l registry -d 'The registry file [default: $PROCHERD_REGISTRY, else $XDG_STATE_HOME/procherd/registry.json]' -r -F
complete -c ptrack -n "__fish_ptrack_using_subcommand session; and __fish_seen_subcommand_from list" -l format -d 'How to write: for people on a terminal, NDJSON in a pipe' -r -f -a "auto\t''
ndjson\t''
table\t''
tree\t''
csv\t''
dot\t''
mermaid\t''"
complete -c ptrack -n "__fish_ptrack_using_subcommand session; and __fish_seen_subcommand_from list" -l color -d 'When to use colour; NO_COLOR turns it off' -r -f -a "auto\t''
always\t''
never\t''"
complete -c ptrack -n "__fish_ptrack_using_subcommand session; and __fish_seen_subcommand_from list" -l repair -d 'Set a damaged registry aside under a dated name first, and begin a new one'
complete -c ptrack -n "__fish_ptrack_using_subcommand session; and __fish_seen_subcommand_from list" -s q -l quiet -d 'Write no records and no notes: the exit code is the answer'
complete -c ptrack -n "__fish_ptrack_using_subcommand session; and __fish_seen_subcommand_from list" -s h -l help -d 'Print help'
complete -c ptrack -n "__fish_ptrack_using_subcommand session; and __fish_seen_subcommand_from help" -f -a "start" -d 'Register a session and the process that owns it'
complete -c ptrack -n "__fish_ptrack_using_subcommand session; and __fish_seen_subcommand_from help" -f -a "end" -d 'End the members of a session and forget it'
complete -c ptrack -n "__fish_ptrack_using_subcommand session; and __fish_seen_subcommand_from help" -f -a "list" -d 'List sessions'
complete -c ptrack -n "__fish_ptrack_using_subcommand session; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c ptrack -n "__fish_ptrack_using_subcommand import" -l as -d 'What it is [default: by its name and its beginning]' -r
complete -c ptrack -n "__fish_ptrack_using_subcommand import" -l project -d 'What belongs to the project in this folder, which must exist' -r
complete -c ptrack -n "__fish_ptrack_using_subcommand import" -l session -d 'What belongs to this session, which must be registered' -r -f -a '(ptrack session list --format ndjson 2>/dev/null | pfmt --format csv --columns session 2>/dev/null | tail -n +2)'
complete -c ptrack -n "__fish_ptrack_using_subcommand import" -l lock-timeout -d 'How long to wait while somebody else writes the registry' -r
complete -c ptrack -n "__fish_ptrack_using_subcommand import" -l registry -d 'The registry file [default: $PROCHERD_REGISTRY, else $XDG_STATE_HOME/procherd/registry.json]' -r -F
complete -c ptrack -n "__fish_ptrack_using_subcommand import" -l format -d 'How to write: for people on a terminal, NDJSON in a pipe' -r -f -a "auto\t''
ndjson\t''
table\t''
tree\t''
csv\t''
dot\t''
mermaid\t''"
complete -c ptrack -n "__fish_ptrack_using_subcommand import" -l color -d 'When to use colour; NO_COLOR turns it off' -r -f -a "auto\t''
always\t''
never\t''"
complete -c ptrack -n "__fish_ptrack_using_subcommand import" -l replace -d 'Take names from services that still run; those go on, unregistered'
complete -c ptrack -n "__fish_ptrack_using_subcommand import" -l global -d 'What belongs to the whole machine'
complete -c ptrack -n "__fish_ptrack_using_subcommand import" -l repair -d 'Set a damaged registry aside under a dated name first, and begin a new one'
complete -c ptrack -n "__fish_ptrack_using_subcommand import" -s q -l quiet -d 'Write no records and no notes: the exit code is the answer'
complete -c ptrack -n "__fish_ptrack_using_subcommand import" -s h -l help -d 'Print help'
complete -c ptrack -n "__fish_ptrack_using_subcommand export" -l as -d 'What to write' -r
complete -c ptrack -n "__fish_ptrack_using_subcommand export" -l project -d 'What belongs to the project in this folder, which must exist' -r
complete -c ptrack -n "__fish_ptrack_using_subcommand export" -l session -d 'What belongs to this session, which must be registered' -r -f -a '(ptrack session list --format ndjson 2>/dev/null | pfmt --format csv --columns session 2>/dev/null | tail -n +2)'
complete -c ptrack -n "__fish_ptrack_using_subcommand export" -l lock-timeout -d 'How long to wait while somebody else writes the registry' -r
complete -c ptrack -n "__fish_ptrack_using_subcommand export" -l registry -d 'The registry file [default: $PROCHERD_REGISTRY, else $XDG_STATE_HOME/procherd/registry.json]' -r -F
complete -c ptrack -n "__fish_ptrack_using_subcommand export" -l format -d 'How to write: for people on a terminal, NDJSON in a pipe' -r -f -a "auto\t''
ndjson\t''
table\t''
tree\t''
csv\t''
dot\t''
mermaid\t''"
complete -c ptrack -n "__fish_ptrack_using_subcommand export" -l color -d 'When to use colour; NO_COLOR turns it off' -r -f -a "auto\t''
always\t''
never\t''"
complete -c ptrack -n "__fish_ptrack_using_subcommand export" -l global -d 'What belongs to the whole machine'
complete -c ptrack -n "__fish_ptrack_using_subcommand export" -l repair -d 'Set a damaged registry aside under a dated name first, and begin a new one'
complete -c ptrack -n "__fish_ptrack_using_subcommand export" -s q -l quiet -d 'Write no records and no notes: the exit code is the answer'
complete -c ptrack -n "__fish_ptrack_using_subcommand export" -s h -l help -d 'Print help'
complete -c ptrack -n "__fish_ptrack_using_subcommand rebuild" -l lock-timeout -d 'How long to wait while somebody else writes the registry' -r
complete -c ptrack -n "__fish_ptrack_using_subcommand rebuild" -l registry -d 'The registry file [default: $PROCHERD_REGISTRY, else $XDG_STATE_HOME/procherd/registry.json]' -r -F
complete -c ptrack -n "__fish_ptrack_using_subcommand rebuild" -l format -d 'How to write: for people on a terminal, NDJSON in a pipe' -r -f -a "auto\t''
ndjson\t''
table\t''
tree\t''
csv\t''
dot\t''
mermaid\t''"
complete -c ptrack -n "__fish_ptrack_using_subcommand rebuild" -l color -d 'When to use colour; NO_COLOR turns it off' -r -f -a "auto\t''
always\t''
never\t''"
complete -c ptrack -n "__fish_ptrack_using_subcommand rebuild" -l repair -d 'Set a damaged registry aside under a dated name first, and begin a new one'
complete -c ptrack -n "__fish_ptrack_using_subcommand rebuild" -s q -l quiet -d 'Write no records and no notes: the exit code is the answer'
complete -c ptrack -n "__fish_ptrack_using_subcommand rebuild" -s h -l help -d 'Print help'
complete -c ptrack -n "__fish_ptrack_using_subcommand path" -l lock-timeout -d 'How long to wait while somebody else writes the registry' -r
complete -c ptrack -n "__fish_ptrack_using_subcommand path" -l registry -d 'The registry file [default: $PROCHERD_REGISTRY, else $XDG_STATE_HOME/procherd/registry.json]' -r -F
complete -c ptrack -n "__fish_ptrack_using_subcommand path" -l format -d 'How to write: for people on a terminal, NDJSON in a pipe' -r -f -a "auto\t''
ndjson\t''
table\t''
tree\t''
csv\t''
dot\t''
mermaid\t''"
complete -c ptrack -n "__fish_ptrack_using_subcommand path" -l color -d 'When to use colour; NO_COLOR turns it off' -r -f -a "auto\t''
always\t''
never\t''"
complete -c ptrack -n "__fish_ptrack_using_subcommand path" -l repair -d 'Set a damaged registry aside under a dated name first, and begin a new one'
complete -c ptrack -n "__fish_ptrack_using_subcommand path" -s q -l quiet -d 'Write no records and no notes: the exit code is the answer'
complete -c ptrack -n "__fish_ptrack_using_subcommand path" -s h -l help -d 'Print help'
complete -c ptrack -n "__fish_ptrack_using_subcommand init" -l lock-timeout -d 'How long to wait while somebody else writes the registry' -r
complete -c ptrack -n "__fish_ptrack_using_subcommand init" -l registry -d 'The registry file [default: $PROCHERD_REGISTRY, else $XDG_STATE_HOME/procherd/registry.json]' -r -F
complete -c ptrack -n "__fish_ptrack_using_subcommand init" -l format -d 'How to write: for people on a terminal, NDJSON in a pipe' -r -f -a "auto\t''
ndjson\t''
table\t''
tree\t''
csv\t''
dot\t''
mermaid\t''"
complete -c ptrack -n "__fish_ptrack_using_subcommand init" -l color -d 'When to use colour; NO_COLOR turns it off' -r -f -a "auto\t''
always\t''
never\t''"
complete -c ptrack -n "__fish_ptrack_using_subcommand init" -l repair -d 'Set a damaged registry aside under a dated name first, and begin a new one'
complete -c ptrack -n "__fish_ptrack_using_subcommand init" -s q -l quiet -d 'Write no records and no notes: the exit code is the answer'
complete -c ptrack -n "__fish_ptrack_using_subcommand init" -s h -l help -d 'Print help'
complete -c ptrack -n "__fish_ptrack_using_subcommand help; and not __fish_seen_subcommand_from save get list status beat rm clear session import export rebuild path init help" -f -a "save" -d 'Register a running process under a name'
complete -c ptrack -n "__fish_ptrack_using_subcommand help; and not __fish_seen_subcommand_from save get list status beat rm clear session import export rebuild path init help" -f -a "get" -d 'Show one service, by name or by process'
complete -c ptrack -n "__fish_ptrack_using_subcommand help; and not __fish_seen_subcommand_from save get list status beat rm clear session import export rebuild path init help" -f -a "list" -d 'List services'
complete -c ptrack -n "__fish_ptrack_using_subcommand help; and not __fish_seen_subcommand_from save get list status beat rm clear session import export rebuild path init help" -f -a "status" -d 'Tell whether a service runs: exit 0 for yes, 1 for no; without a name, all of them and a summary'
complete -c ptrack -n "__fish_ptrack_using_subcommand help; and not __fish_seen_subcommand_from save get list status beat rm clear session import export rebuild path init help" -f -a "beat" -d 'Note that services are well'
complete -c ptrack -n "__fish_ptrack_using_subcommand help; and not __fish_seen_subcommand_from save get list status beat rm clear session import export rebuild path init help" -f -a "rm" -d 'Forget services; their processes go on'
complete -c ptrack -n "__fish_ptrack_using_subcommand help; and not __fish_seen_subcommand_from save get list status beat rm clear session import export rebuild path init help" -f -a "clear" -d 'Forget all services of a scope, or everything'
complete -c ptrack -n "__fish_ptrack_using_subcommand help; and not __fish_seen_subcommand_from save get list status beat rm clear session import export rebuild path init help" -f -a "session" -d 'Register, end and list sessions'
complete -c ptrack -n "__fish_ptrack_using_subcommand help; and not __fish_seen_subcommand_from save get list status beat rm clear session import export rebuild path init help" -f -a "import" -d 'Register what another program keeps'
complete -c ptrack -n "__fish_ptrack_using_subcommand help; and not __fish_seen_subcommand_from save get list status beat rm clear session import export rebuild path init help" -f -a "export" -d 'Write the registry in the form of another program'
complete -c ptrack -n "__fish_ptrack_using_subcommand help; and not __fish_seen_subcommand_from save get list status beat rm clear session import export rebuild path init help" -f -a "rebuild" -d 'Make entries again for living processes that carry the marks of a spawn or a session'
complete -c ptrack -n "__fish_ptrack_using_subcommand help; and not __fish_seen_subcommand_from save get list status beat rm clear session import export rebuild path init help" -f -a "path" -d 'Say where the registry is'
complete -c ptrack -n "__fish_ptrack_using_subcommand help; and not __fish_seen_subcommand_from save get list status beat rm clear session import export rebuild path init help" -f -a "init" -d 'Make the registry, and keep it out of git'
complete -c ptrack -n "__fish_ptrack_using_subcommand help; and not __fish_seen_subcommand_from save get list status beat rm clear session import export rebuild path init help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c ptrack -n "__fish_ptrack_using_subcommand help; and __fish_seen_subcommand_from session" -f -a "start" -d 'Register a session and the process that owns it'
complete -c ptrack -n "__fish_ptrack_using_subcommand help; and __fish_seen_subcommand_from session" -f -a "end" -d 'End the members of a session and forget it'
complete -c ptrack -n "__fish_ptrack_using_subcommand help; and __fish_seen_subcommand_from session" -f -a "list" -d 'List sessions'
complete -c ptrack -n "__fish_seen_subcommand_from get" -f -a '(ptrack list --format ndjson 2>/dev/null | pfmt --format csv --columns service 2>/dev/null | tail -n +2)'
complete -c ptrack -n "__fish_seen_subcommand_from status" -f -a '(ptrack list --format ndjson 2>/dev/null | pfmt --format csv --columns service 2>/dev/null | tail -n +2)'
complete -c ptrack -n "__fish_seen_subcommand_from beat" -f -a '(ptrack list --format ndjson 2>/dev/null | pfmt --format csv --columns service 2>/dev/null | tail -n +2)'
complete -c ptrack -n "__fish_seen_subcommand_from rm" -f -a '(ptrack list --format ndjson 2>/dev/null | pfmt --format csv --columns service 2>/dev/null | tail -n +2)'
complete -c ptrack -n "__fish_seen_subcommand_from session; and __fish_seen_subcommand_from end" -f -a '(ptrack session list --format ndjson 2>/dev/null | pfmt --format csv --columns session 2>/dev/null | tail -n +2)'
