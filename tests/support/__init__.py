"""Builders that the core's tests share: events, jobs and an edge that invents what stages give."""
