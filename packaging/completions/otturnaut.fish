# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_otturnaut_global_optspecs
    string join \n h/help V/version
end

function __fish_otturnaut_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_otturnaut_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_otturnaut_using_subcommand
    set -l cmd (__fish_otturnaut_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c otturnaut -n "__fish_otturnaut_needs_command" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c otturnaut -n "__fish_otturnaut_needs_command" -s V -l version -d 'Print version'
complete -c otturnaut -n "__fish_otturnaut_needs_command" -f -a "start" -d 'Run the agent in the foreground'
complete -c otturnaut -n "__fish_otturnaut_needs_command" -f -a "stop" -d 'End the running agent; deploys that run may end before'
complete -c otturnaut -n "__fish_otturnaut_needs_command" -f -a "restart" -d 'End the running agent and let it begin anew, under the same process id'
complete -c otturnaut -n "__fish_otturnaut_needs_command" -f -a "pid" -d 'Print the process id of the running agent'
complete -c otturnaut -n "__fish_otturnaut_needs_command" -f -a "ping" -d 'Say whether the agent answers: exit code 0 or 69'
complete -c otturnaut -n "__fish_otturnaut_needs_command" -f -a "version" -d 'Print the version'
complete -c otturnaut -n "__fish_otturnaut_needs_command" -f -a "rpc" -d 'Evaluate an expression of Elixir in the running agent and print its value'
complete -c otturnaut -n "__fish_otturnaut_needs_command" -f -a "eval" -d 'Evaluate an expression of Elixir in the running agent and print its value'
complete -c otturnaut -n "__fish_otturnaut_needs_command" -f -a "remote" -d 'Open a shell in the running agent: Elixir, with Tab, history and help'
complete -c otturnaut -n "__fish_otturnaut_needs_command" -f -a "doctor" -d 'Look at all that the agent needs, and say what to do where something is wrong'
complete -c otturnaut -n "__fish_otturnaut_needs_command" -f -a "apps" -d 'List the applications of this outpost'
complete -c otturnaut -n "__fish_otturnaut_needs_command" -f -a "deploy" -d 'Deploy an application without Mission Control'
complete -c otturnaut -n "__fish_otturnaut_needs_command" -f -a "logs" -d 'Print what an application says'
complete -c otturnaut -n "__fish_otturnaut_needs_command" -f -a "rollback" -d 'Go back to the release before, or to one that is named'
complete -c otturnaut -n "__fish_otturnaut_needs_command" -f -a "undeploy" -d 'Take an application away: its route, its container, its releases'
complete -c otturnaut -n "__fish_otturnaut_needs_command" -f -a "completions" -d 'Print completions for a shell'
complete -c otturnaut -n "__fish_otturnaut_needs_command" -f -a "man" -d 'Print the manual page'
complete -c otturnaut -n "__fish_otturnaut_needs_command" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c otturnaut -n "__fish_otturnaut_using_subcommand start" -s h -l help -d 'Print help'
complete -c otturnaut -n "__fish_otturnaut_using_subcommand stop" -l timeout -d 'Seconds to wait for its end' -r
complete -c otturnaut -n "__fish_otturnaut_using_subcommand stop" -s h -l help -d 'Print help'
complete -c otturnaut -n "__fish_otturnaut_using_subcommand restart" -l timeout -d 'Seconds to wait until it answers again' -r
complete -c otturnaut -n "__fish_otturnaut_using_subcommand restart" -s h -l help -d 'Print help'
complete -c otturnaut -n "__fish_otturnaut_using_subcommand pid" -s h -l help -d 'Print help'
complete -c otturnaut -n "__fish_otturnaut_using_subcommand ping" -s h -l help -d 'Print help'
complete -c otturnaut -n "__fish_otturnaut_using_subcommand version" -s h -l help -d 'Print help'
complete -c otturnaut -n "__fish_otturnaut_using_subcommand rpc" -l json -d 'Print the value as JSON'
complete -c otturnaut -n "__fish_otturnaut_using_subcommand rpc" -s h -l help -d 'Print help'
complete -c otturnaut -n "__fish_otturnaut_using_subcommand eval" -l json -d 'Print the value as JSON'
complete -c otturnaut -n "__fish_otturnaut_using_subcommand eval" -s h -l help -d 'Print help'
complete -c otturnaut -n "__fish_otturnaut_using_subcommand remote" -s h -l help -d 'Print help'
complete -c otturnaut -n "__fish_otturnaut_using_subcommand doctor" -l json -d 'Print the findings as JSON'
complete -c otturnaut -n "__fish_otturnaut_using_subcommand doctor" -s h -l help -d 'Print help'
complete -c otturnaut -n "__fish_otturnaut_using_subcommand apps" -l json -d 'Print all that is known of them as JSON'
complete -c otturnaut -n "__fish_otturnaut_using_subcommand apps" -s h -l help -d 'Print help'
complete -c otturnaut -n "__fish_otturnaut_using_subcommand deploy" -l image -d 'The image to run' -r
complete -c otturnaut -n "__fish_otturnaut_using_subcommand deploy" -l repo -d 'The git repository to build from' -r
complete -c otturnaut -n "__fish_otturnaut_using_subcommand deploy" -l ref -d 'Its branch, tag or commit' -r
complete -c otturnaut -n "__fish_otturnaut_using_subcommand deploy" -l dockerfile -d 'The Dockerfile in it' -r
complete -c otturnaut -n "__fish_otturnaut_using_subcommand deploy" -l port -d 'The port that the application listens on' -r
complete -c otturnaut -n "__fish_otturnaut_using_subcommand deploy" -l domain -d 'A domain that leads to it; may be given several times' -r
complete -c otturnaut -n "__fish_otturnaut_using_subcommand deploy" -l env -d 'A variable of its environment: NAME=VALUE, or NAME with the value of this command\'s environment' -r
complete -c otturnaut -n "__fish_otturnaut_using_subcommand deploy" -l env-file -d 'A file of NAME=VALUE lines' -r -F
complete -c otturnaut -n "__fish_otturnaut_using_subcommand deploy" -l runtime -d 'The runtime' -r -f -a "docker\t''
podman\t''
systemd\t''"
complete -c otturnaut -n "__fish_otturnaut_using_subcommand deploy" -l health -d 'A path that must answer 200 before the new version gets requests' -r
complete -c otturnaut -n "__fish_otturnaut_using_subcommand deploy" -l recreate -d 'Stop the old version before the new one starts'
complete -c otturnaut -n "__fish_otturnaut_using_subcommand deploy" -l plan -d 'Say what would be done, and do nothing'
complete -c otturnaut -n "__fish_otturnaut_using_subcommand deploy" -l json -d 'Print the outcome as JSON'
complete -c otturnaut -n "__fish_otturnaut_using_subcommand deploy" -s h -l help -d 'Print help'
complete -c otturnaut -n "__fish_otturnaut_using_subcommand logs" -s n -l lines -d 'Lines from the end' -r
complete -c otturnaut -n "__fish_otturnaut_using_subcommand logs" -l since -d 'Only what is younger: 30s, 10m, 2h, 1d' -r
complete -c otturnaut -n "__fish_otturnaut_using_subcommand logs" -s f -l follow -d 'Go on with what it will say, also after its next deploy'
complete -c otturnaut -n "__fish_otturnaut_using_subcommand logs" -s t -l timestamps -d 'Print the time of each line'
complete -c otturnaut -n "__fish_otturnaut_using_subcommand logs" -l json -d 'Print a JSON object a line'
complete -c otturnaut -n "__fish_otturnaut_using_subcommand logs" -s h -l help -d 'Print help'
complete -c otturnaut -n "__fish_otturnaut_using_subcommand rollback" -l to -d 'The deployment id of the release; the one before the running one if not given' -r
complete -c otturnaut -n "__fish_otturnaut_using_subcommand rollback" -l json -d 'Print the outcome as JSON'
complete -c otturnaut -n "__fish_otturnaut_using_subcommand rollback" -s h -l help -d 'Print help'
complete -c otturnaut -n "__fish_otturnaut_using_subcommand undeploy" -s h -l help -d 'Print help'
complete -c otturnaut -n "__fish_otturnaut_using_subcommand completions" -s h -l help -d 'Print help'
complete -c otturnaut -n "__fish_otturnaut_using_subcommand man" -s h -l help -d 'Print help'
complete -c otturnaut -n "__fish_otturnaut_using_subcommand help; and not __fish_seen_subcommand_from start stop restart pid ping version rpc remote doctor apps deploy logs rollback undeploy completions man help" -f -a "start" -d 'Run the agent in the foreground'
complete -c otturnaut -n "__fish_otturnaut_using_subcommand help; and not __fish_seen_subcommand_from start stop restart pid ping version rpc remote doctor apps deploy logs rollback undeploy completions man help" -f -a "stop" -d 'End the running agent; deploys that run may end before'
complete -c otturnaut -n "__fish_otturnaut_using_subcommand help; and not __fish_seen_subcommand_from start stop restart pid ping version rpc remote doctor apps deploy logs rollback undeploy completions man help" -f -a "restart" -d 'End the running agent and let it begin anew, under the same process id'
complete -c otturnaut -n "__fish_otturnaut_using_subcommand help; and not __fish_seen_subcommand_from start stop restart pid ping version rpc remote doctor apps deploy logs rollback undeploy completions man help" -f -a "pid" -d 'Print the process id of the running agent'
complete -c otturnaut -n "__fish_otturnaut_using_subcommand help; and not __fish_seen_subcommand_from start stop restart pid ping version rpc remote doctor apps deploy logs rollback undeploy completions man help" -f -a "ping" -d 'Say whether the agent answers: exit code 0 or 69'
complete -c otturnaut -n "__fish_otturnaut_using_subcommand help; and not __fish_seen_subcommand_from start stop restart pid ping version rpc remote doctor apps deploy logs rollback undeploy completions man help" -f -a "version" -d 'Print the version'
complete -c otturnaut -n "__fish_otturnaut_using_subcommand help; and not __fish_seen_subcommand_from start stop restart pid ping version rpc remote doctor apps deploy logs rollback undeploy completions man help" -f -a "rpc" -d 'Evaluate an expression of Elixir in the running agent and print its value'
complete -c otturnaut -n "__fish_otturnaut_using_subcommand help; and not __fish_seen_subcommand_from start stop restart pid ping version rpc remote doctor apps deploy logs rollback undeploy completions man help" -f -a "remote" -d 'Open a shell in the running agent: Elixir, with Tab, history and help'
complete -c otturnaut -n "__fish_otturnaut_using_subcommand help; and not __fish_seen_subcommand_from start stop restart pid ping version rpc remote doctor apps deploy logs rollback undeploy completions man help" -f -a "doctor" -d 'Look at all that the agent needs, and say what to do where something is wrong'
complete -c otturnaut -n "__fish_otturnaut_using_subcommand help; and not __fish_seen_subcommand_from start stop restart pid ping version rpc remote doctor apps deploy logs rollback undeploy completions man help" -f -a "apps" -d 'List the applications of this outpost'
complete -c otturnaut -n "__fish_otturnaut_using_subcommand help; and not __fish_seen_subcommand_from start stop restart pid ping version rpc remote doctor apps deploy logs rollback undeploy completions man help" -f -a "deploy" -d 'Deploy an application without Mission Control'
complete -c otturnaut -n "__fish_otturnaut_using_subcommand help; and not __fish_seen_subcommand_from start stop restart pid ping version rpc remote doctor apps deploy logs rollback undeploy completions man help" -f -a "logs" -d 'Print what an application says'
complete -c otturnaut -n "__fish_otturnaut_using_subcommand help; and not __fish_seen_subcommand_from start stop restart pid ping version rpc remote doctor apps deploy logs rollback undeploy completions man help" -f -a "rollback" -d 'Go back to the release before, or to one that is named'
complete -c otturnaut -n "__fish_otturnaut_using_subcommand help; and not __fish_seen_subcommand_from start stop restart pid ping version rpc remote doctor apps deploy logs rollback undeploy completions man help" -f -a "undeploy" -d 'Take an application away: its route, its container, its releases'
complete -c otturnaut -n "__fish_otturnaut_using_subcommand help; and not __fish_seen_subcommand_from start stop restart pid ping version rpc remote doctor apps deploy logs rollback undeploy completions man help" -f -a "completions" -d 'Print completions for a shell'
complete -c otturnaut -n "__fish_otturnaut_using_subcommand help; and not __fish_seen_subcommand_from start stop restart pid ping version rpc remote doctor apps deploy logs rollback undeploy completions man help" -f -a "man" -d 'Print the manual page'
complete -c otturnaut -n "__fish_otturnaut_using_subcommand help; and not __fish_seen_subcommand_from start stop restart pid ping version rpc remote doctor apps deploy logs rollback undeploy completions man help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
