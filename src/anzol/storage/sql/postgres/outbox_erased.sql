-- What a deleted customer's messages left in the outbox. Waits for a fan-out that has one in hands.
delete from anzol.accepted where id = any(array(
    select a.id
      from anzol.customer c
      join anzol.accepted a on a.customer_id = c.id
      join anzol.message m on m.id = a.message_id and m.created_at <= c.erase_through
     where c.id = :customer_id
     order by a.id limit :most))
