-- Which of several writing databases of a topic this is.
select settings.writer from outbox.settings settings
