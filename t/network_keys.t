# Runs with a network through a proxy: which API key reaches what, and a proxy that cannot be
# reached.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::RealBin/network";
use Cellblock qw(eventually json);
use Test::More;
use World qw(prints run_with);

World::enter();
my $world = World->new;
my $cb = $world->service;
my $true = JSON::PP::true;
my $fetch_all = World::fetch_all();
my ($few, $gone, $no) = @World::KEYS{qw(few gone no)};
my $r;

# --- keys --------------------------------------------------------------------------------------------------------------------

prints('import urllib.request as u; print(u.urlopen("https://pypi.org/").read().decode(), u.urlopen("http://files.pythonhosted.org/").read().decode())', "public public\n", 'a key with few hosts reaches those hosts', key => $few);
prints(<<'PYTHON', "403 403\n", 'a key with few hosts reaches no others', key => $few);
import urllib.request as u
def code(url):
    try: return u.urlopen(url).read()
    except Exception as e: return 403 if "403" in str(e) else e
print(code("http://origin.test/"), code("https://origin.test/"))
PYTHON
prints($fetch_all, "none\n", 'a key with few hosts reaches no address, no private name, and nothing by a redirect', key => $few,
    stdin => json->encode(['http://9.9.9.9/', 'http://private.test/', 'http://origin.test/?to=http://10.1.2.3/', 'http://pypi.org/?to=http://10.1.2.3/']));
prints(<<'PYTHON', "403\n", 'a key with few hosts cannot choose another proxy', key => $few, env => { HTTP_PROXY => 'http://127.0.0.1:3128/all', http_proxy => 'http://all@127.0.0.1:3128' });
import urllib.request as u
try: print(u.urlopen("http://origin.test/").read())
except Exception as e: print(403 if "403" in str(e) else e)
PYTHON
$r = run_with('print(1)', key => $no);
is $r->{data}{network}, 'none', 'a key without a network: the reply says so';
is $r->{data}{stdout}, "1\n", 'a key without a network: its runs succeed';
my $forged = $cb->post(json->encode({ language => 'python3', code => 'import urllib.request as u; print(u.urlopen("http://origin.test/").read())', enable_network => $true }),
    key => $few, headers => { 'X-Cellblock-Proxy' => 'all', 'Cellblock-Proxy' => 'all', CELLBLOCK_PROXY => 'all' });
unlike $forged->{data}{stdout}, qr/public/, 'a client cannot choose the proxy by a header';

# --- failures of a proxy ---------------------------------------------------------------------------------------------------------

prints(<<'PYTHON', qr/\A(?:HTTP Error 502: Bad Gateway\nTunnel connection failed: 502 Bad Gateway\n){3}\z/, 'a proxy that does not listen: a run gets 502', key => $gone);
import urllib.request as u
for i in range(3):
    for url in ("http://origin.test/", "https://origin.test/"):
        try: print(u.urlopen(url).read())
        except Exception as e: print(getattr(e, "reason", e) if "Tunnel" in str(e) else e)
PYTHON
my $lines = () = $cb->log_text =~ /proxy gone \(127\.0\.0\.1:3130\) cannot be reached: Connection refused/g;
is $lines, 1, 'a proxy that does not listen: the log has one line';
$world->stop_squid;
prints('import urllib.request as u; u.urlopen("http://origin.test/")', '', 'a proxy is killed: a run gets nothing');
$world->start_squid;
prints('import urllib.request as u; print(u.urlopen("http://origin.test/").read().decode())', "public\n", 'a proxy is started again: a run reaches it');
ok eventually(5, sub { $cb->log_text =~ /proxy all .* can be reached again/ }), 'a proxy is started again: the log says so';

$cb->finish;
$world->stop;
done_testing;
