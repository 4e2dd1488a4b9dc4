-- What appends know of the settings and the topics by functions (step 0044), compared with the tables: who restores data with triggers disabled goes
-- past what keeps them equal. True: it was not so, and is now.
select outbox.settle_anew() as is_settled
