-- Lines that are no orders.
select l.number from raw.line l
where l.number > 1 and rtrim(l.text, E'\r') <> '' and l.number not in (select o.number from raw.orders o)
order by 1
