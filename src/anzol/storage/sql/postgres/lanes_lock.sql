-- In order: two that lock several do not wait for each other.
select endpoint_id from anzol.lane where endpoint_id = any(:lanes::uuid[]) order by endpoint_id for update
