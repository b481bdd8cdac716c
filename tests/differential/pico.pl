# Reads records by picohttpparser (HTTP::Parser::XS), content by its framing; see README.md.
use strict;
use warnings;
use Digest::MD5 qw(md5_hex);
use HTTP::Parser::XS qw(parse_http_request);

# The content of chunks from $at on: (where it ends, content); nothing where it is cut short.
sub chunks {
    my ($data, $at) = @_;
    my $body = '';
    while (1) {
        pos($$data) = $at;
        $$data =~ /\G([0-9A-Fa-f]+)\r\n/gc or return;
        my $size = hex $1;
        $at = pos $$data;
        length($$data) - $at < $size + 2 and return;
        $body .= substr $$data, $at, $size;
        substr($$data, $at + $size, 2) eq "\r\n" or return (-1, '');
        $at += $size + 2;
        return ($at, $body) if $size == 0;
    }
}

binmode STDIN;
while (read(STDIN, my $head, 4) == 4) {
    read STDIN, my $data, unpack 'N', $head;
    my $at = 0;
    while ($at < length $data) {
        my %env;
        my $size = parse_http_request(substr($data, $at), \%env);
        if ($size < 0) {
            print "! no head\n" if $size == -1;
            last;
        }
        $at += $size;
        my $body = '';
        if (defined $env{HTTP_TRANSFER_ENCODING}) {
            ($at, $body) = chunks(\$data, $at);
            last unless defined $at;
            if ($at < 0) { print "! no end of a chunk\n"; last; }
        } elsif (defined $env{CONTENT_LENGTH}) {
            last if length($data) - $at < $env{CONTENT_LENGTH};
            $body = substr $data, $at, $env{CONTENT_LENGTH};
            $at += $env{CONTENT_LENGTH};
        }
        print join(' ', $env{REQUEST_METHOD}, $env{REQUEST_URI}, $env{HTTP_HOST}, $env{HTTP_X_FORWARDED_FOR},
            length $body, md5_hex $body), "\n";
    }
    print ".\n";
}
