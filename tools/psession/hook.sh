PROCHERD_SESSION_OWNER=$(ptrack session start "$PROCHERD_SESSION" --pid $$ --mark@REGISTRY@)
export PROCHERD_SESSION_OWNER
procherd_end() {
    procherd_status=$?
    trap - EXIT HUP INT TERM
    pkill-tree --quiet --grace @GRACE@@REGISTRY@ $$
    ptrack --quiet session end "$PROCHERD_SESSION" --grace @GRACE@@REGISTRY@
    return "$procherd_status"
}
trap procherd_end EXIT
trap 'procherd_end; kill -HUP $$' HUP
trap 'procherd_end; kill -INT $$' INT
trap 'procherd_end; kill -TERM $$' TERM
