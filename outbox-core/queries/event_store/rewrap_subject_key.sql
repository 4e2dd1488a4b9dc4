-- Puts key $1 wrapped anew ($3, by master key $4) in the place of what was read ($2).
select outbox.rewrap_subject_key($1::uuid, $2::bytea, $3::bytea, $4::text) as done
