-- What the matrix of roles found: functions of triggers that everybody might call. A trigger needs no grant to fire.

revoke execute on function outbox.refuse_change, outbox.keep_epoch_rising, outbox.keep_one_chain from public;
