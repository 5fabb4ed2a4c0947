-- 100,000 leads go in within seconds this way.
copy staged_leads (client_name, company, primary_email, primary_phone, phone_normalized, primary_website, custom_fields)
from stdin
