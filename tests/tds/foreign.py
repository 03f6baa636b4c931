"""Asks a server what comes as JSON on stdin, and prints the answers as JSON, each value as the text of the tests.

    python foreign.py python-tds PORT
    python foreign.py pymssql PORT       as FREETDSCONF says of stand-in

A question is a list: the query, then its parameters. An answer is {"rows": [[text, …], …], "error": number or null}.
"""

import datetime
import decimal
import json
import struct
import sys
import uuid

LOGIN = {"user": "reader", "password": "s3cret{}ö", "database": "shop", "autocommit": True}


def text(value):
    match value:
        case None | str():
            return value
        case bool():
            return "true" if value else "false"
        case int() | uuid.UUID():
            return str(value).upper()
        case float():
            return struct.pack(">d", value).hex().upper()
        case decimal.Decimal():
            return format(value, "f")
        case bytes():
            return value.hex().upper()
        case datetime.datetime():
            offset = value.strftime("%z")
            whole = value.replace(tzinfo=None).isoformat(" ", "microseconds")
            return f"{whole} {offset[:3]}:{offset[3:]}" if offset else whole
        case datetime.time():
            return value.isoformat("microseconds")
        case datetime.date():
            return value.isoformat()
    raise TypeError(f"{type(value)} is not a type that the tests expect")


def with_python_tds(port):
    import pytds

    return pytds.connect("127.0.0.1", port=int(port), **LOGIN), pytds.Error, lambda error: error.msg_no


def with_pymssql(port):
    import pymssql

    connection = pymssql.connect("stand-in", port=port, charset="UTF-8", **LOGIN)
    return connection, pymssql.Error, lambda error: error.args[0]


def ask(cursor, question, failure, number):
    rows = []
    try:
        cursor.execute(question[0], tuple(question[1:]) or None)
        while (row := cursor.fetchone()) is not None:
            rows.append([text(value) for value in row])
    except failure as error:
        return {"rows": rows, "error": number(error)}
    return {"rows": rows, "error": None}


def main():
    connect = {"python-tds": with_python_tds, "pymssql": with_pymssql}[sys.argv[1]]
    connection, failure, number = connect(sys.argv[2])
    cursor = connection.cursor()
    json.dump([ask(cursor, question, failure, number) for question in json.load(sys.stdin)], sys.stdout)


if __name__ == "__main__":
    main()
