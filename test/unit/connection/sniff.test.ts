import assert from 'node:assert/strict';
import { test } from 'node:test';
import { bannerProtocol, createSniffer, isSettings } from '../../../src/connection/sniff.ts';

const whole = (text: string | Buffer): unknown => {
  const result = createSniffer().push(Buffer.from(text as string, 'latin1'));
  return typeof result === 'string' ? result : result.kind === 'opaque' ? result.protocol : result.kind;
};
/** The same, one byte at a time; the first decision counts. */
const dribbled = (text: string): unknown => {
  const sniffer = createSniffer();
  for (const byte of Buffer.from(text, 'latin1')) {
    const result = sniffer.push(Buffer.from([byte]));
    if (result !== 'more') return result.kind === 'opaque' ? result.protocol : result.kind;
  }
  return 'more';
};

test('what the first bytes are, whole and dribbled', () => {
  const table: [string, string][] = [
    ['GET / HTTP/1.1\r\n', 'http1'],
    ['PROPFIND /x HTTP/1.1\r\n', 'http1'],
    ['POST ', 'http1'],
    ['FOOBAR /x HTTP/1.1\r\n', 'http1'],
    ['FOOBAR /x HTTP/1.0\n', 'http1'],
    ['FOOBAR /x\r\n', 'unknown'],
    ['PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 'http2'],
    ['PRI * HTTP/2.0\r\n\r\n', 'more'],
    ['P', 'more'],
    ['SSH-2.0-Go\r\n', 'ssh'],
    ['SSH-2.0-OpenSSH_9.6p1 Ubuntu-3\r\n', 'ssh'],
    ['EHLO me\r\n', 'smtp'],
    ['*1\r\n$4\r\nPING\r\n', 'redis'],
    ['stats\r\n', 'unknown'],
    ['\x00\x00\x00\x08\x04\xd2\x16\x2f', 'postgres'],
    ['\x00\x00\x00\x09', 'unknown'],
    ['\x13BitTorrent protocol', 'bittorrent'],
    ['\x05\x01\x00', 'unknown'],
    ['\x16\x03\x01\x00\x00', 'unknown'],
    ['\x16\x03', 'more'],
    [`${'A'.repeat(40)} /`, 'unknown'],
  ];
  for (const [text, expected] of table) {
    assert.equal(whole(text), expected, JSON.stringify(text));
    assert.equal(dribbled(text), expected, `dribbled ${JSON.stringify(text)}`);
  }
});

test('an unknown method whose line never ends is not waited for without bound', () => {
  assert.equal(whole(`FOOBAR ${'x'.repeat(9000)}`), 'unknown');
});

test('what was taken is what was pushed', () => {
  const sniffer = createSniffer();
  sniffer.push(Buffer.from('GE'));
  sniffer.push(Buffer.from('T / HTTP'));
  assert.equal(sniffer.taken().toString(), 'GET / HTTP');
});

test('banners', () => {
  assert.equal(bannerProtocol(Buffer.from('SSH-2.0-x\r\n')), 'ssh');
  assert.equal(bannerProtocol(Buffer.from('220 mail.test ESMTP Postfix\r\n')), 'smtp');
  assert.equal(bannerProtocol(Buffer.from('220 ftp\r\n')), 'server-first');
  assert.equal(bannerProtocol(Buffer.from('+OK POP3\r\n')), 'pop3');
  assert.equal(bannerProtocol(Buffer.from('* OK IMAP4\r\n')), 'imap');
  assert.equal(bannerProtocol(Buffer.from([0x4a, 0, 0])), 'server-first');
});

test('the SETTINGS an HTTP/2 server sends unasked are recognised, banners and acknowledgements are not', () => {
  const settings = Buffer.from([0, 0, 6, 4, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 100]);
  assert.equal(isSettings(settings), true);
  assert.equal(isSettings(Buffer.from([0, 0, 0, 4, 0, 0, 0, 0, 0])), true);
  assert.equal(isSettings(Buffer.from([0, 0, 0, 4, 1, 0, 0, 0, 0])), false);
  assert.equal(isSettings(Buffer.from([0, 0, 6, 4, 0, 0, 0, 0, 1])), false);
  assert.equal(isSettings(Buffer.from('SSH-2.0-x\r\n')), false);
  assert.equal(isSettings(settings.subarray(0, 8)), false);
});
