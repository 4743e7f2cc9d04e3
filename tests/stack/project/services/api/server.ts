import { createServer } from 'node:http'

const port: number = Number(process.env.STACK_API_PORT)
createServer((_, answer) => answer.end('api\n')).listen(port, '127.0.0.1')
