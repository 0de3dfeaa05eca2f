-- Lanes that a worker holds, locked in order.
select endpoint_id from anzol.lane where holder = :me order by endpoint_id for update
