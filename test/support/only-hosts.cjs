/** For node --require: connects to the hosts of HEED_TEST_HOSTS alone, and writes each other one to HEED_TEST_REFUSED. */
const { appendFileSync } = require('node:fs');
const { Socket, _normalizeArgs } = require('node:net');

const allowed = new Set(process.env.HEED_TEST_HOSTS.split(','));
const { connect } = Socket.prototype;
Socket.prototype.connect = function (...args) {
  const [{ host, path }] = Array.isArray(args[0]) ? args[0] : _normalizeArgs(args);
  if (path || allowed.has(host)) return connect.apply(this, args);
  appendFileSync(process.env.HEED_TEST_REFUSED, `${host}\n`);
  setImmediate(() => this.destroy(new Error(`${host} is not reachable in this test`))); // listeners come first
  return this;
};
