-- The file as it is, line by line, and what its lines say, counted without a line of the example's code.
create schema raw;
create table raw.line (number bigint generated always as identity primary key, text text not null);

create function raw.is_time(text text) returns boolean language sql immutable as
$$ select text ~ '^(1[0-2]|[1-9])/([12][0-9]|3[01]|[1-9])/[0-9]{4} (1[0-9]|2[0-3]|[0-9]):[0-5][0-9]$' $$;

create function raw.moment(text text) returns timestamp language sql immutable as
$$ select case when raw.is_time(text) then to_timestamp(text, 'MM/DD/YYYY HH24:MI')::timestamp end $$;
