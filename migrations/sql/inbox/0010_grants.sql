-- What the matrix of roles found: functions of triggers that everybody might call. A trigger needs no grant to fire.

revoke execute on function outbox.keep_outcome, outbox.refuse_early_commit, outbox.refuse_fall, outbox.refuse_rewrite from public;
