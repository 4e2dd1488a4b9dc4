-- Lines that are orders; of lines with the same id, the first.
create table raw.orders as
select distinct on (f[1])
       number, f[1] as order_id, f[2] as customer_id, f[3] as status, raw.moment(f[4]) as placed_at, raw.moment(f[5]) as paid_at,
       raw.moment(f[6]) as shipped_at, raw.moment(f[7]) as delivered_at, raw.moment(f[8]) as promised
from (select number, string_to_array(rtrim(text, E'\r'), ',') as f from raw.line where number > 1) field
where cardinality(f) = 8 and f[1] <> '' and f[2] <> '' and raw.is_time(f[4]) and raw.is_time(f[8])
  and (f[5] = '' or raw.is_time(f[5])) and (f[6] = '' or raw.is_time(f[6])) and (f[7] = '' or raw.is_time(f[7]))
  and case f[3] when 'created' then concat(f[5], f[6], f[7]) = ''
                when 'approved' then concat(f[6], f[7]) = ''
                when 'processing' then concat(f[6], f[7]) = ''
                when 'invoiced' then concat(f[6], f[7]) = ''
                when 'shipped' then f[7] = ''
                else f[3] in ('delivered', 'unavailable', 'canceled') end
order by f[1], number;
