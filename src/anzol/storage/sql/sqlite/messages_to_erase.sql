-- All but those with a delivery in flight: its attempt is to be recorded first.
select json_group_array(seq) from (
    select m.seq from anzol_customer c join anzol_message m on m.customer_id = c.id and m.seq <= c.erase_through
     where c.id = :customer_id
       and not exists (select 1 from anzol_pending p where p.message = m.seq and p.holder is not null)
     limit :most)
