-- Of these messages those of which nothing is pending or to be fanned out.
select json_group_array(seq) from (
    select m.seq from json_each(:messages) j cross join anzol_message m on m.seq = j.value
     where not exists (select 1 from anzol_pending p where p.message = m.seq)
       and not exists (select 1 from anzol_accepted o where o.customer_id = m.customer_id and o.message = m.seq)
     limit :most)
