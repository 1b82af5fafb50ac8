"""The market in a browser: a client of the query API and of its stream, painted by Streamlit.

It has neither a store's address nor its password. One subscriber a process follows the stream for all who look on
(`stream`, `market`); what was before is asked of the API, once for all of them (`client`, `desk`).
"""
