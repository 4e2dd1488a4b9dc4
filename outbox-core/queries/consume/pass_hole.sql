-- Lets consumer $1 pass the hole before entry $3 of stream $2. $4 why. Returns the entry that it passed last.
select outbox.pass_hole($1, $2, $3, $4)
