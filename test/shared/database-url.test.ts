import t from 'tap'
import {
  maskedUrl,
  oneUrlPerHost,
  parseDatabaseUrl,
  withoutPassword,
} from '../../shared/database-url.ts'

t.test('what its users write', async t => {
  t.match(parseDatabaseUrl('mariadb://app:p%40ss%3Aw%2Frd%231%25@[::1]:3307/usage'), {
    ...{ host: '::1', port: 3307, user: 'app', password: 'p@ss:w/rd#1%', database: 'usage' },
    ...{ socketPath: undefined, tls: undefined },
  })
  t.match(parseDatabaseUrl('mysql://db/usage?socketPath=%2Frun%2Fm.sock'), {
    ...{ port: 3306, socketPath: '/run/m.sock' },
  })
  t.match(parseDatabaseUrl('mariadb://db/usage?ssl=verify-ca&ca=/c&cert=/x&key=/y'), {
    tls: { mode: 'verify-ca', ca: '/c', cert: '/x', key: '/y' },
  })
  t.match(parseDatabaseUrl('mariadb://db/usage?ssl=true'), { tls: { mode: 'verify-full' } })
})

t.test('nothing is ignored, and no refusal shows a password', async t => {
  for (const [url, wrong] of [
    ['postgres://sp:S3CRET@db/x', /begins with postgres:/],
    ['mariadb://sp:S3CRET@db:99999/x', /cannot be read as a URL/],
    ['mariadb://sp:S3CRET%@db/x', /% in it is not followed/],
    ['mariadb://sp:S3CRET@db', /names no database/],
    ['mariadb://sp:S3CRET@db/x#y', /not written as %23/],
    ['mariadb://sp:S3@CRET/#1@db/x', /cannot be read|names no|%23/],
    ['mariadb://db/x?password=S3CRET', /"password" is not known: known are socketPath, ssl/],
    ['mariadb://sp:S3CRET@db/x?sll=true', /"sll" is not known: is ssl what is meant/],
    ['mariadb://sp:S3CRET@db/x?ssl=yes', /ssl is none of false, true, required/],
    ['mariadb://sp:S3CRET@db/x?ca=/c', /ca, cert or key, but no ssl/],
    ['mariadb://sp:S3CRET@db/x?ssl=true&cert=/c', /cert and key belong together/],
    ['mariadb://sp:S3CRET@db/x?ssl=true&ssl=false', /ssl is given twice/],
    ['mariadb://sp:S3CRET@a,,b/x', /cannot be read as a URL/],
    ['mariadb://sp:S3CRET@a,b:0x/x', /cannot be read as a URL/],
    ['mariadb://sp:S3CRET@a,b,a:3306/x', /names a:3306 twice/],
    ['mariadb://sp:S3CRET@a,b/x?socketPath=/s', /several hosts, and a socketPath/],
    ['S3CRET', /cannot be read as a URL/],
    ['S3CRET:x@S3CRET', /does not begin with mariadb/],
    ['of@S3CRET', /cannot be read as a URL/],
    ['mariadb://db/x?ca=@S3CRET %', /no ssl/],
    ['mariadb://sp:S3CRET@db:0/x', /port is none from 1 to 65535/],
  ] as const) {
    const parsed = parseDatabaseUrl(url)
    t.match('wrong' in parsed ? parsed.wrong : 'accepted', wrong, url)
    t.notMatch(maskedUrl(url) + ('wrong' in parsed ? parsed.wrong : ''), /S3|CRET/)
  }
  t.equal(maskedUrl('mysql2://bob:S3CRET@db:1/x?a=b'), 'mysql2://***@db:1/x?a=***')
})

t.test('several hosts', async t => {
  const url = 'mariadb://app:p%40,ss@one:3307,[::1],three/usage?ssl=required'
  t.match(parseDatabaseUrl(url), { host: 'one', port: 3307, password: 'p@,ss' })
  t.same(
    oneUrlPerHost(url).map(one => parseDatabaseUrl(one)),
    [
      { ...parseDatabaseUrl(url), host: 'one', port: 3307 },
      { ...parseDatabaseUrl(url), host: '::1', port: 3306 },
      { ...parseDatabaseUrl(url), host: 'three', port: 3306 },
    ],
  )
  t.equal(withoutPassword(url), 'mariadb://app@one:3307,[::1],three/usage?ssl=required')
  t.equal(withoutPassword('mariadb://:x@db/usage'), 'mariadb://db/usage')
  t.same(oneUrlPerHost('S3CRET'), ['S3CRET'])
})
