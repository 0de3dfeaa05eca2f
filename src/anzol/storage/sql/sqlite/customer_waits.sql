-- Messages wait for their fan-out: a customer that has none of them will be there, or here again, when that is done.
select 1 from anzol_accepted where customer_id = :id limit 1
