# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_ptrack_global_optspecs
    string join \n registry= format= color= q/quiet lock-timeout= h/help V/version
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

complete -c ptrack -n "__fish_ptrack_needs_command" -l registry -d 'The registry file [default: $PROCHERD_REGISTRY, else $XDG_STATE_HOME/procherd/registry.json]' -r -F
complete -c ptrack -n "__fish_ptrack_needs_command" -l format -d 'How to write: for people on a terminal, NDJSON in a pipe' -r -f -a "auto\t''
ndjson\t''
table\t''
tree\t''"
complete -c ptrack -n "__fish_ptrack_needs_command" -l color -d 'When to use colour; NO_COLOR turns it off' -r -f -a "auto\t'When standard output is a terminal'
always\t'Always'
never\t'Never'"
complete -c ptrack -n "__fish_ptrack_needs_command" -l lock-timeout -d 'How long to wait while somebody else writes the registry' -r
complete -c ptrack -n "__fish_ptrack_needs_command" -s q -l quiet -d 'Write no records and no notes: the exit code is the answer'
complete -c ptrack -n "__fish_ptrack_needs_command" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c ptrack -n "__fish_ptrack_needs_command" -s V -l version -d 'Print version'
complete -c ptrack -n "__fish_ptrack_needs_command" -f -a "save" -d 'Register a running process under a name'
complete -c ptrack -n "__fish_ptrack_needs_command" -f -a "get" -d 'Show one service, by name or by process'
complete -c ptrack -n "__fish_ptrack_needs_command" -f -a "list" -d 'List services'
complete -c ptrack -n "__fish_ptrack_needs_command" -f -a "status" -d 'Tell whether a service runs: exit 0 for yes, 1 for no; without a name, all of them and a summary'
complete -c ptrack -n "__fish_ptrack_needs_command" -f -a "beat" -d 'Note that services are well'
complete -c ptrack -n "__fish_ptrack_needs_command" -f -a "rm" -d 'Forget services; their processes go on'
complete -c ptrack -n "__fish_ptrack_needs_command" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c ptrack -n "__fish_ptrack_using_subcommand save" -l script -d 'The script or program that was started, in your words [default: its command line]' -r
complete -c ptrack -n "__fish_ptrack_using_subcommand save" -l type -d 'The kind of scope; --project or --session say which one, and one beside it is noted' -r -f -a "global\t'One for the machine'
per-project\t'One for each project'
per-session\t'One for each session'"
complete -c ptrack -n "__fish_ptrack_using_subcommand save" -l meta -d 'A note to keep with the service; repeatable' -r
complete -c ptrack -n "__fish_ptrack_using_subcommand save" -l project -d 'Services of the project in this folder, which must exist' -r
complete -c ptrack -n "__fish_ptrack_using_subcommand save" -l session -d 'Services of this session, which must be registered' -r
complete -c ptrack -n "__fish_ptrack_using_subcommand save" -l registry -d 'The registry file [default: $PROCHERD_REGISTRY, else $XDG_STATE_HOME/procherd/registry.json]' -r -F
complete -c ptrack -n "__fish_ptrack_using_subcommand save" -l format -d 'How to write: for people on a terminal, NDJSON in a pipe' -r -f -a "auto\t''
ndjson\t''
table\t''
tree\t''"
complete -c ptrack -n "__fish_ptrack_using_subcommand save" -l color -d 'When to use colour; NO_COLOR turns it off' -r -f -a "auto\t'When standard output is a terminal'
always\t'Always'
never\t'Never'"
complete -c ptrack -n "__fish_ptrack_using_subcommand save" -l lock-timeout -d 'How long to wait while somebody else writes the registry' -r
complete -c ptrack -n "__fish_ptrack_using_subcommand save" -l group -d 'Note the members of its process group, too, not only the processes below it'
complete -c ptrack -n "__fish_ptrack_using_subcommand save" -l replace -d 'Take the name from a service that still runs; that one goes on, unregistered'
complete -c ptrack -n "__fish_ptrack_using_subcommand save" -l strict -d 'Stop at the first bad line of the input'
complete -c ptrack -n "__fish_ptrack_using_subcommand save" -l global -d 'Services of the whole machine'
complete -c ptrack -n "__fish_ptrack_using_subcommand save" -s q -l quiet -d 'Write no records and no notes: the exit code is the answer'
complete -c ptrack -n "__fish_ptrack_using_subcommand save" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c ptrack -n "__fish_ptrack_using_subcommand get" -l pid -d 'Say which service this process is: its name, or "unknown"' -r
complete -c ptrack -n "__fish_ptrack_using_subcommand get" -l project -d 'Services of the project in this folder, which must exist' -r
complete -c ptrack -n "__fish_ptrack_using_subcommand get" -l session -d 'Services of this session, which must be registered' -r
complete -c ptrack -n "__fish_ptrack_using_subcommand get" -l registry -d 'The registry file [default: $PROCHERD_REGISTRY, else $XDG_STATE_HOME/procherd/registry.json]' -r -F
complete -c ptrack -n "__fish_ptrack_using_subcommand get" -l format -d 'How to write: for people on a terminal, NDJSON in a pipe' -r -f -a "auto\t''
ndjson\t''
table\t''
tree\t''"
complete -c ptrack -n "__fish_ptrack_using_subcommand get" -l color -d 'When to use colour; NO_COLOR turns it off' -r -f -a "auto\t'When standard output is a terminal'
always\t'Always'
never\t'Never'"
complete -c ptrack -n "__fish_ptrack_using_subcommand get" -l lock-timeout -d 'How long to wait while somebody else writes the registry' -r
complete -c ptrack -n "__fish_ptrack_using_subcommand get" -l global -d 'Services of the whole machine'
complete -c ptrack -n "__fish_ptrack_using_subcommand get" -s q -l quiet -d 'Write no records and no notes: the exit code is the answer'
complete -c ptrack -n "__fish_ptrack_using_subcommand get" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c ptrack -n "__fish_ptrack_using_subcommand list" -l project -d 'Services of the project in this folder, which must exist' -r
complete -c ptrack -n "__fish_ptrack_using_subcommand list" -l session -d 'Services of this session, which must be registered' -r
complete -c ptrack -n "__fish_ptrack_using_subcommand list" -l expect -d 'Exit 1 unless so many are found: a number, or a range such as 1..3' -r
complete -c ptrack -n "__fish_ptrack_using_subcommand list" -l registry -d 'The registry file [default: $PROCHERD_REGISTRY, else $XDG_STATE_HOME/procherd/registry.json]' -r -F
complete -c ptrack -n "__fish_ptrack_using_subcommand list" -l format -d 'How to write: for people on a terminal, NDJSON in a pipe' -r -f -a "auto\t''
ndjson\t''
table\t''
tree\t''"
complete -c ptrack -n "__fish_ptrack_using_subcommand list" -l color -d 'When to use colour; NO_COLOR turns it off' -r -f -a "auto\t'When standard output is a terminal'
always\t'Always'
never\t'Never'"
complete -c ptrack -n "__fish_ptrack_using_subcommand list" -l lock-timeout -d 'How long to wait while somebody else writes the registry' -r
complete -c ptrack -n "__fish_ptrack_using_subcommand list" -l alive -d 'Only those that live'
complete -c ptrack -n "__fish_ptrack_using_subcommand list" -l dead -d 'Only those that have ended'
complete -c ptrack -n "__fish_ptrack_using_subcommand list" -l foreign -d 'Only those of other machines and pid namespaces'
complete -c ptrack -n "__fish_ptrack_using_subcommand list" -l unknown -d 'Only those that cannot be judged'
complete -c ptrack -n "__fish_ptrack_using_subcommand list" -l count -d 'Write only how many there are'
complete -c ptrack -n "__fish_ptrack_using_subcommand list" -l global -d 'Services of the whole machine'
complete -c ptrack -n "__fish_ptrack_using_subcommand list" -s q -l quiet -d 'Write no records and no notes: the exit code is the answer'
complete -c ptrack -n "__fish_ptrack_using_subcommand list" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c ptrack -n "__fish_ptrack_using_subcommand status" -l project -d 'Services of the project in this folder, which must exist' -r
complete -c ptrack -n "__fish_ptrack_using_subcommand status" -l session -d 'Services of this session, which must be registered' -r
complete -c ptrack -n "__fish_ptrack_using_subcommand status" -l registry -d 'The registry file [default: $PROCHERD_REGISTRY, else $XDG_STATE_HOME/procherd/registry.json]' -r -F
complete -c ptrack -n "__fish_ptrack_using_subcommand status" -l format -d 'How to write: for people on a terminal, NDJSON in a pipe' -r -f -a "auto\t''
ndjson\t''
table\t''
tree\t''"
complete -c ptrack -n "__fish_ptrack_using_subcommand status" -l color -d 'When to use colour; NO_COLOR turns it off' -r -f -a "auto\t'When standard output is a terminal'
always\t'Always'
never\t'Never'"
complete -c ptrack -n "__fish_ptrack_using_subcommand status" -l lock-timeout -d 'How long to wait while somebody else writes the registry' -r
complete -c ptrack -n "__fish_ptrack_using_subcommand status" -l summary -d 'Write only the totals'
complete -c ptrack -n "__fish_ptrack_using_subcommand status" -l global -d 'Services of the whole machine'
complete -c ptrack -n "__fish_ptrack_using_subcommand status" -s q -l quiet -d 'Write no records and no notes: the exit code is the answer'
complete -c ptrack -n "__fish_ptrack_using_subcommand status" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c ptrack -n "__fish_ptrack_using_subcommand beat" -l status -d 'The state to note, too' -r -f -a "running\t''
unhealthy\t''
failed\t''"
complete -c ptrack -n "__fish_ptrack_using_subcommand beat" -l project -d 'Services of the project in this folder, which must exist' -r
complete -c ptrack -n "__fish_ptrack_using_subcommand beat" -l session -d 'Services of this session, which must be registered' -r
complete -c ptrack -n "__fish_ptrack_using_subcommand beat" -l registry -d 'The registry file [default: $PROCHERD_REGISTRY, else $XDG_STATE_HOME/procherd/registry.json]' -r -F
complete -c ptrack -n "__fish_ptrack_using_subcommand beat" -l format -d 'How to write: for people on a terminal, NDJSON in a pipe' -r -f -a "auto\t''
ndjson\t''
table\t''
tree\t''"
complete -c ptrack -n "__fish_ptrack_using_subcommand beat" -l color -d 'When to use colour; NO_COLOR turns it off' -r -f -a "auto\t'When standard output is a terminal'
always\t'Always'
never\t'Never'"
complete -c ptrack -n "__fish_ptrack_using_subcommand beat" -l lock-timeout -d 'How long to wait while somebody else writes the registry' -r
complete -c ptrack -n "__fish_ptrack_using_subcommand beat" -l strict -d 'Stop at the first bad line of the input'
complete -c ptrack -n "__fish_ptrack_using_subcommand beat" -l global -d 'Services of the whole machine'
complete -c ptrack -n "__fish_ptrack_using_subcommand beat" -s q -l quiet -d 'Write no records and no notes: the exit code is the answer'
complete -c ptrack -n "__fish_ptrack_using_subcommand beat" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c ptrack -n "__fish_ptrack_using_subcommand rm" -l project -d 'Services of the project in this folder, which must exist' -r
complete -c ptrack -n "__fish_ptrack_using_subcommand rm" -l session -d 'Services of this session, which must be registered' -r
complete -c ptrack -n "__fish_ptrack_using_subcommand rm" -l registry -d 'The registry file [default: $PROCHERD_REGISTRY, else $XDG_STATE_HOME/procherd/registry.json]' -r -F
complete -c ptrack -n "__fish_ptrack_using_subcommand rm" -l format -d 'How to write: for people on a terminal, NDJSON in a pipe' -r -f -a "auto\t''
ndjson\t''
table\t''
tree\t''"
complete -c ptrack -n "__fish_ptrack_using_subcommand rm" -l color -d 'When to use colour; NO_COLOR turns it off' -r -f -a "auto\t'When standard output is a terminal'
always\t'Always'
never\t'Never'"
complete -c ptrack -n "__fish_ptrack_using_subcommand rm" -l lock-timeout -d 'How long to wait while somebody else writes the registry' -r
complete -c ptrack -n "__fish_ptrack_using_subcommand rm" -l strict -d 'Stop at the first bad line of the input'
complete -c ptrack -n "__fish_ptrack_using_subcommand rm" -l global -d 'Services of the whole machine'
complete -c ptrack -n "__fish_ptrack_using_subcommand rm" -s q -l quiet -d 'Write no records and no notes: the exit code is the answer'
complete -c ptrack -n "__fish_ptrack_using_subcommand rm" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c ptrack -n "__fish_ptrack_using_subcommand help; and not __fish_seen_subcommand_from save get list status beat rm help" -f -a "save" -d 'Register a running process under a name'
complete -c ptrack -n "__fish_ptrack_using_subcommand help; and not __fish_seen_subcommand_from save get list status beat rm help" -f -a "get" -d 'Show one service, by name or by process'
complete -c ptrack -n "__fish_ptrack_using_subcommand help; and not __fish_seen_subcommand_from save get list status beat rm help" -f -a "list" -d 'List services'
complete -c ptrack -n "__fish_ptrack_using_subcommand help; and not __fish_seen_subcommand_from save get list status beat rm help" -f -a "status" -d 'Tell whether a service runs: exit 0 for yes, 1 for no; without a name, all of them and a summary'
complete -c ptrack -n "__fish_ptrack_using_subcommand help; and not __fish_seen_subcommand_from save get list status beat rm help" -f -a "beat" -d 'Note that services are well'
complete -c ptrack -n "__fish_ptrack_using_subcommand help; and not __fish_seen_subcommand_from save get list status beat rm help" -f -a "rm" -d 'Forget services; their processes go on'
complete -c ptrack -n "__fish_ptrack_using_subcommand help; and not __fish_seen_subcommand_from save get list status beat rm help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
