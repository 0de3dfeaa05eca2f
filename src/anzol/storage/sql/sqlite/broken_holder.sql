select endpoint from anzol_lane where holder is not null and holder not in (select id from anzol_worker)
