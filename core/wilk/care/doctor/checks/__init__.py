"""What the doctor looks at, a module per check: each has a :class:`~wilk.care.doctor.patient.Check`."""
