-- Pages of the marts are filled by half. A night's new version of a row then fits beside the old one, where no index has to
-- be told of it, since no indexed column of a published row changes (a heap-only tuple); what the night before left behind
-- is cleared from the page on the way. With full pages each changed row was an entry more in each of the mart's indexes:
-- half of the time of a publish that changes everything. Pages that are full already are left as they are; rows move
-- out of them as they change.
--
-- https://www.postgresql.org/docs/current/storage-hot.html

alter table mart_financial_metrics set (fillfactor = 50);
alter table mart_crm_contacts set (fillfactor = 50);
alter table mart_crm_deals set (fillfactor = 50);
alter table mart_zoom_metrics set (fillfactor = 50);
alter table mart_case_metrics set (fillfactor = 50);
alter table mart_app_analytics set (fillfactor = 50);
alter table mart_sales_daily set (fillfactor = 50);
alter table mart_rental_fleet set (fillfactor = 50);
alter table mart_cash_flow set (fillfactor = 50);
