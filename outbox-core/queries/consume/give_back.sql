-- Answers how many rows of the inbox went: each of these events has one.
select outbox.give_back($1, $2, $3, $4, $5, $6)
