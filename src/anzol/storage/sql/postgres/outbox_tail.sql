-- Messages for more endpoints than one page go to the tail, in their order, with where they are.
insert into anzol.accepted (message_id, customer_id, cursor, resent)
select * from unnest(:messages::uuid[], :customers::uuid[], :cursors::uuid[], :resent::boolean[])
