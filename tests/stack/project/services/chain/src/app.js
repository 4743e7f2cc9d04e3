const { createServer } = require('node:http')

createServer((_, answer) => answer.end('chain\n')).listen(Number(process.env.STACK_CHAIN_PORT), '127.0.0.1')
