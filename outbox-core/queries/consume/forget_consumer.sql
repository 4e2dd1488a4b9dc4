-- Keeps nothing more for consumer $1, which will not come back. $2 why. $3 whether what of it still waits is given up. Returns how much.
select outbox.forget_consumer($1, $2, $3)
